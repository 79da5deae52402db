//! Links inside one process, with the faults that a lab can set.

use std::{rc::Rc, time::Duration};

use bytes::Bytes;
use maftia_core::effects::Lane;

use super::{Inbox, body, client, orders, p, passport, run, until};
use crate::link::{Bound, Links, Tamper, memory::Hub};

/// Opens the links of an owner at the hub.
fn open(hub: &Hub, who: maftia_core::seat::Owner) -> (Links, Rc<Inbox>) {
    let links = Links::new(passport(who));
    let inbox = Inbox::new(&links);
    links.open(Bound::Memory(hub.port(who)), Rc::<Inbox>::clone(&inbox));
    (links, inbox)
}

#[test]
fn frames_reach_everybody_in_order() {
    run(async {
        let hub = Hub::new();
        let ends: Vec<_> = (0..4).map(p).chain([client(0)]).map(|who| open(&hub, who)).collect();
        let all: Vec<_> = (0..4).map(p).collect();
        for number in 0..1_000 {
            let lane = if number % 3 == 0 { Lane::Bulk } else { Lane::Control };
            for (links, _) in &ends {
                links.send_many(&all, lane, &orders(), body(number)).unwrap();
            }
        }
        let (bulk, control): (Vec<_>, Vec<_>) = (0..1_000).partition(|number| number % 3 == 0);
        for (place, (_, inbox)) in ends[..4].iter().enumerate() {
            for from in all.iter().copied().chain([client(0)]).filter(|from| *from != all[place]) {
                until("all frames came", || inbox.heard(from, Lane::Control).len() == 666).await;
                until("all bulk came", || inbox.heard(from, Lane::Bulk).len() == 334).await;
                assert_eq!(inbox.heard(from, Lane::Control), control);
                assert_eq!(inbox.heard(from, Lane::Bulk), bulk);
            }
        }
        for (links, _) in &ends {
            let idle = || links.status().iter().all(|status| status.waiting_frames == 0);
            until("everything is acknowledged", idle).await;
        }
    });
}

#[test]
fn a_peer_without_room_holds_up_only_itself() {
    run(async {
        let hub = Hub::new();
        let (sender, _) = open(&hub, p(0));
        let (slow, slow_inbox) = open(&hub, p(1));
        let (_quick, quick_inbox) = open(&hub, p(2));
        slow_inbox.room.set(10);
        let large = |number: u64| {
            let mut bytes = number.to_le_bytes().to_vec();
            bytes.resize(100_000, 0);
            Bytes::from(bytes)
        };
        for number in 0..200 {
            sender.send_many(&[p(1), p(2)], Lane::Bulk, &orders(), large(number)).unwrap();
        }
        until("the quick one has all", || quick_inbox.heard(p(0), Lane::Bulk).len() == 200).await;
        assert_eq!(slow_inbox.heard(p(0), Lane::Bulk).len(), 10);
        slow_inbox.room.set(usize::MAX);
        slow.room(p(0));
        until("the slow one has all", || slow_inbox.heard(p(0), Lane::Bulk).len() == 200).await;
        assert!(slow_inbox.heard(p(0), Lane::Bulk).is_sorted());
    });
}

#[test]
fn a_cut_loses_nothing() {
    run(async {
        let hub = Hub::new();
        let (sender, _) = open(&hub, p(0));
        let (receiver, inbox) = open(&hub, p(1));
        for number in 0..300 {
            sender.send(p(1), Lane::Control, &orders(), body(number)).unwrap();
            if number % 50 == 25 {
                let lab = if number % 100 == 25 { sender.lab() } else { receiver.lab() };
                lab.cut(true);
                tokio::time::sleep(Duration::from_millis(5)).await;
                assert!(!sender.status().iter().any(|status| status.connected));
                lab.cut(false);
            }
            tokio::task::yield_now().await;
        }
        until("all came", || inbox.heard(p(0), Lane::Control).len() == 300).await;
        assert_eq!(inbox.heard(p(0), Lane::Control), (0..300).collect::<Vec<_>>());
    });
}

#[test]
fn a_liar_speaks_with_its_own_seal() {
    run(async {
        let hub = Hub::new();
        let (liar, _) = open(&hub, p(0));
        let (_one, first) = open(&hub, p(1));
        let (_two, second) = open(&hub, p(2));
        liar.lab().tamper(Some(Box::new(|to, _, bytes| match bytes[0] {
            1 if *to == p(1) => Tamper::Replace(body(100)),
            2 if *to == p(2) => Tamper::Drop,
            3 => Tamper::Also(vec![(orders(), body(33))]),
            4 => Tamper::Delay(Duration::from_millis(20)),
            _ => Tamper::Pass,
        })));
        for number in 1..=5 {
            liar.send_many(&[p(1), p(2)], Lane::Control, &orders(), body(number)).unwrap();
        }
        until("the late one came", || first.heard(p(0), Lane::Control).len() == 6).await;
        until("the late one came", || second.heard(p(0), Lane::Control).len() == 5).await;
        assert_eq!(first.heard(p(0), Lane::Control), [100, 2, 3, 33, 5, 4]);
        assert_eq!(second.heard(p(0), Lane::Control), [1, 3, 33, 5, 4]);
        liar.lab().heal();
        liar.send(p(1), Lane::Control, &orders(), body(1)).unwrap();
        until("honest again", || first.heard(p(0), Lane::Control).last() == Some(&1)).await;
    });
}

#[test]
fn what_is_not_durable_is_sent_again_after_a_crash() {
    run(async {
        let hub = Hub::new();
        let (sender, _) = open(&hub, p(0));
        let (receiver, inbox) = open(&hub, p(1));
        inbox.remembers.set(false);
        for number in 1..=9 {
            sender.send(p(1), Lane::Control, &orders(), body(number)).unwrap();
        }
        until("all came", || inbox.heard(p(0), Lane::Control).len() == 9).await;
        receiver.durable(p(0), Lane::Control, 4);
        until("four are acknowledged", || sender.status()[0].waiting_frames == 5).await;
        let saved = receiver.save();
        receiver.close();

        let links = Links::new(passport(p(1)));
        links.restore(p(0), Lane::Control, 4);
        let again = Inbox::new(&links);
        links.open(Bound::Memory(hub.port(p(1))), Rc::<Inbox>::clone(&again));
        until("the rest came again", || again.heard(p(0), Lane::Control).len() == 5).await;
        assert_eq!(again.heard(p(0), Lane::Control), [5, 6, 7, 8, 9]);
        links.close();

        let links = Links::new(passport(p(1)));
        links.load(saved);
        let durable = links.save().restored(p(0), Lane::Control);
        assert_eq!(durable, Some(4), "a snapshot holds what is durable, not what was only taken");
    });
}

#[test]
fn who_lost_everything_is_told_that_it_missed_something() {
    run(async {
        let hub = Hub::new();
        let (sender, heard_back) = open(&hub, p(0));
        let (receiver, inbox) = open(&hub, p(1));
        for number in 1..=9 {
            sender.send(p(1), Lane::Control, &orders(), body(number)).unwrap();
            receiver.send(p(0), Lane::Control, &orders(), body(number)).unwrap();
        }
        until("all came", || inbox.heard(p(0), Lane::Control).len() == 9).await;
        until("all came", || heard_back.heard(p(1), Lane::Control).len() == 9).await;
        until("all is acknowledged", || sender.status()[0].waiting_frames == 0).await;
        receiver.close();

        let (blank, again) = open(&hub, p(1));
        sender.send(p(1), Lane::Control, &orders(), body(10)).unwrap();
        blank.send(p(0), Lane::Control, &orders(), body(11)).unwrap();
        until("it hears", || again.heard(p(0), Lane::Control) == [10]).await;
        until("it is heard", || heard_back.heard(p(1), Lane::Control).last() == Some(&11)).await;
        assert_eq!((again.missed(), heard_back.missed()), (1, 1));
    });
}

/// Words are not said again by whoever reads its log, so nothing may be counted by them.
#[test]
fn what_follows_a_restart_is_heard_though_words_went_before() {
    run(async {
        let hub = Hub::new();
        let (sender, _) = open(&hub, p(0));
        let (_receiver, inbox) = open(&hub, p(1));
        for number in 1..=3 {
            sender.send(p(1), Lane::Control, &orders(), body(number)).unwrap();
            sender.say(p(1), &orders(), body(100 * number)).unwrap();
        }
        until("all came", || inbox.heard(p(0), Lane::Control).len() == 6).await;
        until("all is acknowledged", || sender.status()[0].waiting_frames == 0).await;
        sender.close();

        let again = Links::new(passport(p(0)));
        for number in 1..=5 {
            again.send(p(1), Lane::Control, &orders(), body(number)).unwrap();
        }
        let silent = Inbox::new(&again);
        again.open(Bound::Memory(hub.port(p(0))), silent);
        let frames = || {
            let heard = inbox.heard(p(0), Lane::Control);
            heard.into_iter().filter(|number| *number < 100).collect::<Vec<_>>()
        };
        until("what is new came", || frames().len() >= 5).await;
        assert_eq!((frames(), inbox.missed()), (vec![1, 2, 3, 4, 5], 0));
    });
}

#[test]
fn leaving_says_good_bye_after_the_last_frame() {
    run(async {
        let hub = Hub::new();
        let (sender, _) = open(&hub, p(0));
        let (_receiver, inbox) = open(&hub, p(1));
        until("a line stands", || sender.status().iter().any(|status| status.connected)).await;
        for number in 0..500 {
            sender.send(p(1), Lane::Bulk, &orders(), body(number)).unwrap();
        }
        sender.leave(Duration::from_secs(5)).await;
        until("the end came", || !inbox.ends.borrow().is_empty()).await;
        assert_eq!(inbox.heard(p(0), Lane::Bulk).len(), 500);
        assert_eq!(*inbox.ends.borrow(), ["the peer left"]);
    });
}

#[test]
fn nobody_sends_to_strangers() {
    let links = Links::new(passport(p(0)));
    let error = links.send(client(9), Lane::Control, &orders(), body(1)).unwrap_err();
    assert!(error.to_string().contains("not in the configuration"), "{error}");
    let long = vec![0; maftia_core::wire::limits::FRAME_MAX + 1];
    let error = links.send(p(1), Lane::Control, &orders(), long.into()).unwrap_err();
    assert!(error.to_string().contains("above the limit"), "{error}");
}

#[test]
fn owners_on_two_threads_meet_at_one_hub() {
    let hub = Hub::new();
    let far = hub.clone();
    let thread = std::thread::spawn(move || {
        run(async {
            let (links, inbox) = open(&far, p(1));
            until("all came", || inbox.heard(p(0), Lane::Bulk).len() == 100).await;
            links.send(p(0), Lane::Control, &orders(), body(7)).unwrap();
            links.leave(Duration::from_secs(5)).await;
        });
    });
    run(async {
        let (links, inbox) = open(&hub, p(0));
        for number in 0..100 {
            links.send(p(1), Lane::Bulk, &orders(), body(number)).unwrap();
        }
        until("the answer came", || inbox.heard(p(1), Lane::Control) == [7]).await;
    });
    thread.join().unwrap();
}
