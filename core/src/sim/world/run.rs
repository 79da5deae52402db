//! Time goes by: letters are delivered, and what the trees cause is carried out.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    STRAYS_MAX, World,
    words::{caused, note},
};
use crate::{
    effects::{Lane, To},
    fault::Accusation,
    id::{GroupId, PartyId},
    path::InstanceId,
    seat::Owner,
    sim::{
        adversary,
        behaviour::{Behaviour, Corrupted, Outgoing},
        pool::{Channel, Letter, Pick, Site},
        site::{Deed, Desk, Make, Post},
    },
    time::Span,
};

impl World {
    /// Goes on until nothing is in flight and no alarm is armed, or the adversary ends the run.
    ///
    /// # Panics
    /// When that takes too many steps: a livelock.
    pub fn run(&mut self) {
        self.run_while(|_| true);
    }

    /// Goes on until virtual time has passed so far; alarms beyond wait.
    ///
    /// # Panics
    /// When that takes too many steps: a livelock.
    pub fn run_for(&mut self, span: Span) {
        let end = self.now.saturating_add(span.as_micros());
        let last = self.steps + self.options.steps_max;
        while self.now < end && self.advance(end) {
            self.check_steps(last);
        }
    }

    /// Goes on until nothing is in flight; alarms that are not due yet wait.
    ///
    /// # Panics
    /// When that takes too many steps: a livelock.
    pub fn settle(&mut self) {
        let last = self.steps + self.options.steps_max;
        while self.advance(0) {
            self.check_steps(last);
        }
    }

    /// Goes on as long as this is so, and as long as anything can happen. Says whether it still is.
    ///
    /// # Panics
    /// When that takes too many steps: a livelock.
    pub fn run_while(&mut self, mut wanted: impl FnMut(&Self) -> bool) -> bool {
        let last = self.steps + self.options.steps_max;
        self.start();
        while wanted(self) {
            if !self.advance(u64::MAX) {
                return true;
            }
            self.check_steps(last);
        }
        false
    }

    fn check_steps(&self, last: u64) {
        assert!(
            self.steps < last,
            "a livelock: {} letters were delivered, {} are in flight, {} alarms are armed",
            self.steps,
            self.pool.len(),
            self.alarms.len(),
        );
    }

    /// Delivers one letter. `false` when there is none, or the adversary ends the run.
    pub fn step(&mut self) -> bool {
        self.advance(u64::MAX)
    }

    /// One letter; if there is none, time jumps to the next alarm, but not beyond `horizon`.
    fn advance(&mut self, horizon: u64) -> bool {
        self.start();
        self.ring();
        if self.pool.is_empty() && !self.sync_all() && !self.idle(horizon) {
            return false;
        }
        let mut adversary =
            self.adversary.take().unwrap_or_else(|| adversary::of_seed(self.seed, &self.parties()));
        let mut chance = self.chance.clone();
        let pick = adversary.pick(self, &mut chance);
        self.chance = chance;
        self.adversary = Some(adversary);
        pick.is_some_and(|pick| self.deliver(pick))
    }

    /// Takes the letter that was picked to its addressee. `false` when there is no such letter.
    pub(in crate::sim) fn deliver(&mut self, pick: Pick) -> bool {
        let channel = self.pool.channel_of(pick);
        let Some(flight) = self.pool.take(pick) else { return false };
        channel.into_iter().for_each(|channel| self.note_taken(channel, &flight.letter));
        self.story.picks.push(pick);
        self.steps += 1;
        self.now += self.options.pace;
        match flight.letter {
            Letter::Frame { from, to, instance, bytes } => {
                self.deliver_frame(from, to, instance, bytes);
            }
            letter => self.deliver_local(letter),
        }
        self.mishap();
        true
    }

    /// Starts the trees that were added.
    pub(in crate::sim) fn start(&mut self) {
        for site in std::mem::take(&mut self.unborn) {
            self.give(site, Post::Start);
        }
    }

    /// Alarms whose time has come are letters like others.
    fn ring(&mut self) {
        while let Some(entry) = self.alarms.first_entry() {
            if entry.key().0 > self.now {
                return;
            }
            let (to, alarm) = entry.remove();
            self.pool.send(Channel::Alone, Letter::Alarm { to, alarm });
        }
    }

    /// Nothing is in flight: corrupted parties may speak, then time jumps.
    fn idle(&mut self, horizon: u64) -> bool {
        let corrupted: Vec<Owner> = self.fallen.keys().copied().collect();
        for owner in corrupted {
            self.misbehave(owner, |behaviour, cx| behaviour.idle(cx));
        }
        if !self.pool.is_empty() {
            return true;
        }
        match self.alarms.first_key_value() {
            Some(((due, _), _)) if *due <= horizon => {
                self.now = *due;
                self.ring();
                true
            }
            _ => false,
        }
    }

    fn deliver_frame(&mut self, from: Owner, to: Owner, instance: InstanceId, bytes: Bytes) {
        if self.fallen.contains_key(&to) {
            self.misbehave(to, |behaviour, cx| behaviour.hear(from, &instance, &bytes, cx));
        }
        let sites = self.addressed(to, &instance);
        if sites.is_empty() {
            let strays = self.strays.entry(to).or_default();
            if strays.len() < STRAYS_MAX {
                strays.push_back((from, instance, bytes));
            }
            return;
        }
        for site in sites {
            let Some(tree) = self.tree(site) else { continue };
            let from = from.seen_from(Some(tree.seat().group.id));
            self.give(site, Post::Frame { from, instance: instance.clone(), bytes: bytes.clone() });
        }
    }

    /// The open trees of an owner with the longest path above an instance, one a face.
    fn addressed(&self, to: Owner, instance: &InstanceId) -> Vec<Site> {
        let Some(homes) = self.homes.get(&to) else { return Vec::new() };
        if homes.len() == 1
            && let Some((root, sites)) = homes.first_key_value()
        {
            return if instance.below(root).is_some() { sites.clone() } else { Vec::new() };
        }
        let mut at = instance.clone();
        loop {
            if let Some(sites) = homes.get(&at) {
                return sites.clone();
            }
            match at.parent() {
                Some((above, _)) => at = above,
                None => return Vec::new(),
            }
        }
    }

    pub(super) fn let_strays_in(&mut self, site: Site) {
        let place = &self.places[site.0];
        let (owner, id) = (place.owner, place.id.clone());
        let strays = self.strays.remove(&owner).unwrap_or_default();
        for (from, instance, bytes) in strays {
            if instance.below(&id).is_some() {
                let channel = Channel::Link { from, to: owner, lane: Lane::Bulk };
                self.pool.send(channel, Letter::Frame { from, to: owner, instance, bytes });
            } else {
                self.strays.entry(owner).or_default().push_back((from, instance, bytes));
            }
        }
    }

    fn deliver_local(&mut self, letter: Letter) {
        match letter {
            Letter::Frame { .. } => unreachable!("frames go to owners"),
            Letter::Input { to, number, bytes } => self.give(to, Post::Input { number, bytes }),
            Letter::Heard { to, from, number, bytes } => {
                self.give(to, Post::Heard { from, number, bytes });
            }
            Letter::Forwarded { to, from, instance, bytes } => {
                self.give(to, Post::Frame { from, instance, bytes });
            }
            Letter::Notice { to, notice } => self.give(to, Post::Notice(notice)),
            Letter::Retired { to } => self.end(to),
            Letter::Alarm { to, alarm } => self.give(to, Post::Alarm(alarm)),
            Letter::Job { to, id, job } => {
                if let Some(tree) = self.tree(to) {
                    let answer = job.perform(&tree.seat().keys);
                    self.give(to, Post::Answer { job: id, answer });
                }
            }
        }
    }

    /// Ends a detached tree, and those that hang below it.
    fn end(&mut self, site: Site) {
        let place = &mut self.places[site.0];
        place.tree = None;
        place.digest = None;
        let (owner, id) = (place.owner, place.id.clone());
        if let Some(homes) = self.homes.get_mut(&owner)
            && let Some(sites) = homes.get_mut(&id)
        {
            sites.retain(|open| *open != site);
            if sites.is_empty() {
                homes.remove(&id);
            }
        }
        let children = self.sites_of(owner).into_iter();
        let children: Vec<Site> =
            children.filter(|child| self.places[child.0].parent == Some(site)).collect();
        children.into_iter().for_each(|child| self.end(child));
    }

    /// Gives a tree mail, and carries out what it causes.
    fn give(&mut self, site: Site, post: Post) {
        let place = &mut self.places[site.0];
        if self.fallen.get(&place.owner).is_some_and(|fallen| !fallen.behaviour.runs()) {
            return;
        }
        let Some(mut tree) = place.tree.take() else { return };
        place.digest = None;
        if self.options.journals {
            place.history.push(post.clone());
        }
        let line = self.story.telling.then(|| self.in_words(site, tree.as_ref(), &post));
        self.desk.said = self.story.telling.then(Vec::new);
        self.desk.detach = Arc::clone(&self.options.detach);
        let mut desk = std::mem::take(&mut self.desk);
        tree.take(post, &mut desk);
        self.places[site.0].tree = Some(tree);
        if let Some(line) = line {
            self.story.lines.push(line + &caused(&desk));
        }
        self.perform_all(site, &mut desk);
        self.desk = desk;
    }

    fn perform_all(&mut self, site: Site, desk: &mut Desk) {
        for deed in desk.deeds.drain(..) {
            if self.options.journals {
                note(&mut self.places[site.0].said, &deed);
            }
            self.perform(site, deed);
        }
    }

    pub(super) fn perform(&mut self, site: Site, deed: Deed) {
        if let Some(deed) = self.keep_back(site, deed) {
            self.carry_out(site, deed);
        }
    }

    pub(super) fn carry_out(&mut self, site: Site, deed: Deed) {
        match deed {
            Deed::Sent { to, instance, lane, frame } => {
                self.send(site, to, &instance, lane, &frame);
            }
            Deed::Armed(alarm, after) => {
                let due = self.now.saturating_add(after.as_micros());
                self.armed += 1;
                self.alarms.insert((due, self.armed), (site, alarm));
            }
            Deed::Computing(id, job) => {
                self.pool.send(Channel::Alone, Letter::Job { to: site, id, job });
            }
            Deed::Accused { instance, peer, fault } => {
                let place = &self.places[site.0];
                let group = instance.of().group;
                let accusation = Accusation { group, instance, peer, fault };
                self.accusations.push((place.owner, accusation));
            }
            Deed::Told { at, number, bytes } => {
                let parent = self.places[site.0].parent.expect("only detached children tell");
                let letter = Letter::Heard { to: parent, from: at, number, bytes };
                self.pool.send(Channel::Edge(site, parent), letter);
            }
            Deed::Opened { id, make } => self.open(site, &id, make),
            Deed::Asked { id, number, bytes } => {
                self.post_down(site, &id, |to| Letter::Input { to, number, bytes });
            }
            Deed::Forwarded { from, instance, bytes } => {
                let id = instance.clone();
                self.post_down(site, &id, |to| Letter::Forwarded { to, from, instance, bytes });
            }
            Deed::Notified(id, notice) => {
                self.post_down(site, &id, |to| Letter::Notice { to, notice });
            }
            Deed::Retired(id) => self.post_down(site, &id, |to| Letter::Retired { to }),
        }
    }

    fn open(&mut self, parent: Site, id: &InstanceId, make: Make) {
        let (owner, face) = (self.places[parent.0].owner, self.places[parent.0].face);
        let open = self.homes.get(&owner).and_then(|homes| homes.get(id));
        let is_here = |sites: &Vec<Site>| sites.iter().any(|site| self.places[site.0].face == face);
        if open.is_some_and(is_here) {
            return;
        }
        let tree = make();
        self.describe.insert(tree.kind(), tree.describe());
        let child = self.place(tree, face, Some(parent));
        self.unborn.retain(|unborn| *unborn != child);
        self.give(child, Post::Start);
    }

    /// Puts a letter on the edge to the detached child that has this instance.
    fn post_down(&mut self, parent: Site, id: &InstanceId, letter: impl FnOnce(Site) -> Letter) {
        let owner = self.places[parent.0].owner;
        let child = self.sites_of(owner).into_iter().find(|child| {
            let place = &self.places[child.0];
            place.parent == Some(parent) && id.below(&place.id).is_some()
        });
        if let Some(child) = child {
            self.pool.send(Channel::Edge(parent, child), letter(child));
        }
    }

    /// Puts a frame on its links, or leaves it to the behaviour of a corrupted party.
    fn send(&mut self, site: Site, to: To, instance: &InstanceId, lane: Lane, frame: &Bytes) {
        let place = &self.places[site.0];
        let (owner, face) = (place.owner, place.face);
        let corrupted = self.fallen.contains_key(&owner);
        let kind = place.tree.as_ref().filter(|_| corrupted).and_then(|tree| {
            // What a root says to the roots of other groups is not below it, but of its kind.
            instance.below(&place.id).map_or(Some(tree.kind()), |path| tree.kind_at(path))
        });
        let group = place.tree.as_ref().map_or(instance.of().group, |tree| tree.seat().group.id);
        for to in self.addressees(owner, group, to) {
            let (instance, bytes) = (instance.clone(), frame.clone());
            if corrupted {
                let frame = Outgoing { to, instance, kind, lane, bytes, face };
                self.misbehave(owner, |behaviour, cx| behaviour.send(frame, cx));
            } else {
                let channel = Channel::Link { from: owner, to, lane };
                self.pool.send(channel, Letter::Frame { from: owner, to, instance, bytes });
            }
        }
    }

    fn addressees(&self, from: Owner, own: GroupId, to: To) -> Vec<Owner> {
        let (group, only) = match to {
            To::Client(client) => return vec![Owner::Client(client)],
            To::Everyone => (own, None),
            To::Member(party) => (own, Some(party)),
            To::Group(group) => (group, None),
            To::Foreign(group, party) => (group, Some(party)),
        };
        let n = self.directory.group(group).map_or(0, |group| group.thresholds.n());
        PartyId::all(n)
            .filter(|party| only.is_none_or(|only| only == *party))
            .map(|party| Owner::Party(group, party))
            .filter(|owner| to != To::Everyone || *owner != from)
            .collect()
    }

    /// Lets a corrupted party act; what it sends, it sends in its own name.
    fn misbehave(
        &mut self,
        owner: Owner,
        act: impl FnOnce(&mut dyn Behaviour, &mut Corrupted<'_>),
    ) {
        let Some(fallen) = self.fallen.get_mut(&owner) else { return };
        let mut cx = Corrupted {
            me: owner,
            others: &fallen.others,
            keys: &fallen.keys,
            rng: &mut fallen.rng,
            step: self.steps,
            out: Vec::new(),
        };
        act(fallen.behaviour.as_mut(), &mut cx);
        for Outgoing { to, instance, lane, bytes, .. } in cx.out {
            let channel = Channel::Link { from: owner, to, lane };
            self.pool.send(channel, Letter::Frame { from: owner, to, instance, bytes });
        }
    }
}
