//! One soak, from its beginning to its end.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use maftia_core::stream::atomic::Position;
use tempfile::TempDir;

use super::{
    Plan,
    crew::{self, Hand, Stint},
    figures::{Outcome, Point, Trouble},
    ledger::Ledger,
    words::{Order, Role},
};
use crate::{
    bench::{
        clock, fleet,
        home::{self, Home, Reach},
        load::Pace,
        plan,
        progress::Progress,
    },
    exit::{Exit, Stop},
};

/// Nanoseconds of a second.
const SECOND: u64 = 1_000_000_000;

/// How often a point of the timeline is drawn.
const POINT: u64 = SECOND;

/// How long parties may take until they run for the first time.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// How long what is under way may take to arrive after the load has ended.
const DRAIN: Duration = Duration::from_mins(1);

/// How long a party that came back may be behind before the soak gives up on it.
const LEVEL_MAX: u64 = 600 * SECOND;

/// A party is level when it lacks less than what comes in this time.
const LEVEL: Duration = Duration::from_millis(250);

/// Of so many kills, one is followed by a partition: the second one.
const ROUND: u64 = 5;

/// What is wrong at present.
enum Phase {
    /// Nothing.
    Calm,
    /// A party is down, since then.
    Down(usize, u64),
    /// A party is cut off, since then.
    Cut(usize, u64),
    /// A party came back, killed or not, and is not level yet.
    Back { party: usize, killed: bool, back: u64, trouble: Trouble, met: bool },
}

/// A soak under way.
pub(super) struct Soak<'a> {
    plan: &'a Plan,
    signal: &'a mpsc::Receiver<()>,
    folder: TempDir,
    logs: Vec<PathBuf>,
    hands: Vec<Option<Hand>>,
    ledger: Ledger,
    /// Positions that parties told, by slot.
    places: BTreeMap<u64, Vec<(usize, Position)>>,
    behind: Vec<bool>,
    start: u64,
    until: u64,
    kills: u64,
    parted: u64,
    phase: Phase,
    slowest_us: u64,
    drawn: (u64, u64),
    outcome: Outcome,
}

impl<'a> Soak<'a> {
    /// Deals keys, starts everybody, and waits until all run.
    pub(super) fn start(plan: &'a Plan, signal: &'a mpsc::Receiver<()>) -> Result<Self, Stop> {
        let folder = fleet::dealt(plan.n, 0, plan.link, None)?;
        let owners = Home::of_party(folder.path(), 0, Reach::Network)?.members();
        let logs = owners.iter().map(|owner| home::log_folder(folder.path(), *owner)).collect();
        let n = usize::from(plan.n);
        let mut soak = Self {
            plan,
            signal,
            folder,
            logs,
            hands: (0..n).map(|_| None).collect(),
            ledger: Ledger::new(n),
            places: BTreeMap::new(),
            behind: vec![false; n],
            start: 0,
            until: 0,
            kills: 0,
            parted: 0,
            phase: Phase::Calm,
            slowest_us: 0,
            drawn: (0, 0),
            outcome: Outcome {
                version: env!("CARGO_PKG_VERSION"),
                config: plan.config(),
                ..Outcome::default()
            },
        };
        (0..n).try_for_each(|party| soak.open(party))?;
        let until = Instant::now() + READY_WITHIN;
        while !soak.all().all(|hand| hand.heard().ready.is_some()) {
            soak.look()?;
            if Instant::now() > until {
                let help = "the machine is too busy";
                return Err(Stop::new(Exit::Failed, "the parties did not start in time", help));
            }
        }
        Ok(soak)
    }

    /// All of it.
    pub(super) fn run(mut self, progress: &Progress) -> Result<Outcome, Stop> {
        self.start = clock::now();
        self.until = self.start + self.plan.duration.as_nanos() as u64;
        self.drawn.0 = self.start;
        (0..self.hands.len()).try_for_each(|party| self.load(party))?;
        while clock::now() < self.until || !matches!(self.phase, Phase::Calm) {
            self.look()?;
            self.draw();
            self.go_on()?;
            progress.step(&(self.start..self.until), clock::now(), self.rate());
        }
        progress.say("waiting for what is under way");
        self.drain()?;
        Ok(self.judged())
    }

    fn all(&self) -> impl Iterator<Item = &Hand> {
        self.hands.iter().flatten()
    }

    /// Starts a process for a party, whose subscriber goes on where it was.
    fn open(&mut self, party: usize) -> Result<(), Stop> {
        let role = Role {
            folder: self.folder.path().into(),
            party: party as u16,
            durability: self.plan.durability,
            kept: (self.plan.kept_mib << 20) as usize,
            mark: self.ledger.marks[party].clone(),
        };
        self.hands[party] = Some(Hand::start(&role)?);
        Ok(())
    }

    /// Gives a party a generator, for the rest of the time.
    fn load(&mut self, party: usize) -> Result<(), Stop> {
        let number = self.ledger.begin(party);
        let n = f64::from(self.plan.n);
        let gap = SECOND as f64 * n / self.plan.rate as f64;
        let stint = Stint {
            number,
            size: self.plan.size,
            pace: Pace { gap, ahead: party as f64 / n },
            window: plan::usual_window(self.plan.n, self.plan.size),
            from: clock::now(),
            until: self.until,
        };
        self.hands[party].as_mut().expect("it was started").load(stint)?;
        Ok(())
    }

    /// Waits for a moment, and takes in what parties tell.
    fn look(&mut self) -> Result<(), Stop> {
        thread::sleep(fleet::LOOK);
        if self.signal.try_recv() != Err(mpsc::TryRecvError::Empty) {
            return Err(Stop::new(Exit::Interrupted, "interrupted", ""));
        }
        if let Some(death) = self.all().find_map(Hand::death) {
            return Err(death);
        }
        for party in 0..self.hands.len() {
            self.absorb(party);
        }
        self.lead_on();
        Ok(())
    }

    /// Takes in what one party told.
    fn absorb(&mut self, party: usize) {
        let Some(hand) = &self.hands[party] else { return };
        let (seen, windows, places, behind, slowest_us) = {
            let mut heard = hand.heard();
            let told = (std::mem::take(&mut heard.windows), std::mem::take(&mut heard.places));
            let (behind, slowest) = (heard.behind, heard.slowest_us);
            (heard.behind, heard.slowest_us) = (false, 0);
            (heard.seen.take(), told.0, told.1, behind, slowest)
        };
        self.behind[party] |= behind;
        if let Some(seen) = seen {
            hand.settle(self.ledger.see(party, seen.mark));
        }
        if !self.is_away(party) {
            self.slowest_us = self.slowest_us.max(slowest_us);
        }
        for (window, hash) in windows {
            self.ledger.compare(window, hash);
        }
        for place in places {
            let tellers = self.places.entry(place.slot.number()).or_default();
            tellers.push((party, place));
        }
        // Those that are further back help nobody.
        while self.places.len() > 8 {
            self.places.pop_first();
        }
    }

    fn is_away(&self, party: usize) -> bool {
        match &self.phase {
            Phase::Calm => false,
            Phase::Down(who, _) | Phase::Cut(who, _) | Phase::Back { party: who, .. } => {
                *who == party
            }
        }
    }

    /// Leads those who are behind beyond what is kept to a position for which `f + 1` others vouch.
    fn lead_on(&mut self) {
        let needed = usize::from(plan::faults(self.plan.n)) + 1;
        for party in 0..self.hands.len() {
            let Some(hand) = self.hands[party].as_ref().filter(|_| self.behind[party]) else {
                continue;
            };
            let vouched = |tellers: &Vec<(usize, Position)>| {
                let others = || tellers.iter().filter(|(teller, _)| *teller != party);
                let same =
                    |place: &Position| others().filter(|(_, it)| it == place).count() >= needed;
                others().map(|(_, place)| place).find(|place| same(place)).cloned()
            };
            let best = self.places.values().rev().find_map(vouched);
            if let Some(place) = best.filter(|it| it.slot.number() > self.ledger.marks[party].slot)
            {
                hand.say(&Order::Resume(Box::new(place)));
                self.behind[party] = false;
                if let Phase::Back { party: who, trouble, .. } = &mut self.phase
                    && *who == party
                {
                    trouble.resumed = true;
                }
            }
        }
    }

    fn rate(&self) -> f64 {
        self.outcome.timeline.last().map_or(0.0, |point| point.per_s)
    }

    /// Draws a point of the timeline when it is time.
    fn draw(&mut self) {
        let now = clock::now();
        let (last, slots) = self.drawn;
        if now < last + POINT {
            return;
        }
        let all = self.ledger.highest(None);
        self.drawn = (now, all);
        let mib = |bytes: u64| (bytes >> 10) as f64 / 1_024.0;
        let memory = self.hands.iter().map(|hand| hand.as_ref().map_or(0, Hand::resident));
        self.outcome.timeline.push(Point {
            at_s: (now - self.start) as f64 / SECOND as f64,
            per_s: (all - slots) as f64 * SECOND as f64 / (now - last) as f64,
            slowest_ms: std::mem::take(&mut self.slowest_us) as f64 / 1e3,
            memory_mib: memory.map(mib).collect(),
            log_mib: self.logs.iter().map(|log| mib(crew::folder_bytes(log))).collect(),
        });
    }

    /// Does to the parties what is due.
    fn go_on(&mut self) -> Result<(), Stop> {
        let now = clock::now();
        match std::mem::replace(&mut self.phase, Phase::Calm) {
            Phase::Calm => self.disturb(now),
            Phase::Down(party, since) if now >= since + nanos(self.plan.down) => {
                self.open(party)?;
                self.load(party)?;
                self.phase = self.back(party, true, since, now);
            }
            Phase::Cut(party, since) if now >= since + nanos(self.plan.partition) => {
                if let Some(hand) = &self.hands[party] {
                    hand.say(&Order::Cut(false));
                }
                self.phase = self.back(party, false, since, now);
            }
            Phase::Back { party, killed, back, trouble, met } => {
                self.return_of(party, killed, back, trouble, met)?;
            }
            waiting => self.phase = waiting,
        }
        Ok(())
    }

    fn back(&self, party: usize, killed: bool, since: u64, now: u64) -> Phase {
        let trouble = Trouble {
            at_s: (since - self.start) as f64 / SECOND as f64,
            party: party as u16,
            away_s: (now - since) as f64 / SECOND as f64,
            ..Trouble::default()
        };
        Phase::Back { party, killed, back: now, trouble, met: false }
    }

    /// Kills somebody or cuts somebody off, if it is time.
    fn disturb(&mut self, now: u64) {
        let every = nanos(self.plan.kill_every);
        let (after, last) = (now.saturating_sub(self.start), self.hands.len() - 1);
        if now >= self.until {
            return;
        }
        let due = self.kills % ROUND == 2 && self.parted < self.kills;
        if due && after >= self.kills * every + every / 2 && !self.plan.partition.is_zero() {
            self.parted = self.kills;
            if let Some(hand) = &self.hands[last] {
                hand.say(&Order::Cut(true));
            }
            self.phase = Phase::Cut(last, now);
        } else if after >= (self.kills + 1) * every {
            let who = self.kills as usize % last;
            self.kills += 1;
            self.kill(who);
            self.phase = Phase::Down(who, now);
        }
    }

    fn kill(&mut self, party: usize) {
        let Some(hand) = self.hands[party].take() else { return };
        let sent = hand.kill();
        self.behind[party] = false;
        self.ledger.end(party, sent.sent, true);
    }

    /// A party is back: notes when it has read its log, and when it is level.
    fn return_of(
        &mut self,
        party: usize,
        killed: bool,
        back: u64,
        mut trouble: Trouble,
        mut met: bool,
    ) -> Result<(), Stop> {
        let ready = match &self.hands[party] {
            Some(hand) if killed => hand.heard().ready,
            _ => Some(back),
        };
        let now = clock::now();
        if let Some(ready) = ready {
            let lacks =
                self.ledger.highest(Some(party)).saturating_sub(self.ledger.marks[party].slot);
            if !met {
                trouble.reading_s = (ready - back) as f64 / SECOND as f64;
                trouble.missed = lacks;
                met = true;
            }
            let slack = self.plan.rate as f64 * LEVEL.as_secs_f64();
            if lacks as f64 <= slack {
                trouble.level_s = (now - ready) as f64 / SECOND as f64;
                let troubles =
                    if killed { &mut self.outcome.kills } else { &mut self.outcome.partitions };
                troubles.push(trouble);
                return Ok(());
            }
        }
        if now > back + LEVEL_MAX {
            let message = format!("party {party} lacks what others have, and does not get it");
            return Err(Stop::new(Exit::CommandFailed, message, "this is no good stream"));
        }
        self.phase = Phase::Back { party, killed, back, trouble, met };
        Ok(())
    }

    /// Waits until all have everything.
    fn drain(&mut self) -> Result<(), Stop> {
        let until = Instant::now() + DRAIN;
        while Instant::now() < until && !(self.all().all(Hand::is_spent) && self.ledger.is_even()) {
            self.look()?;
            self.draw();
        }
        for party in 0..self.hands.len() {
            if let Some(hand) = &mut self.hands[party] {
                let sent = hand.relieve();
                self.ledger.end(party, sent.sent, false);
                self.outcome.unsent += sent.unsent;
            }
        }
        while Instant::now() < until && !self.ledger.is_even() {
            self.look()?;
        }
        Ok(())
    }

    fn judged(mut self) -> Outcome {
        self.ledger.close(&mut self.outcome);
        let spent = self.drawn.0.saturating_sub(self.start) as f64 / SECOND as f64;
        self.outcome.throughput_per_s = self.outcome.payloads as f64 / spent.max(1e-3);
        self.outcome.judge();
        self.outcome
    }
}

fn nanos(of: Duration) -> u64 {
    of.as_nanos() as u64
}
