//! What happens, in words and in hashes.

use std::fmt::Write;

use super::World;
use crate::{
    sim::{
        pool::Site,
        site::{AnyTree, Deed, Desk, Post},
    },
    wire,
};

impl World {
    /// A line of a story: when, who, where, what.
    pub(super) fn in_words(&self, site: Site, tree: &dyn AnyTree, post: &Post) -> String {
        let place = &self.places[site.0];
        let (at, what) = match post {
            Post::Start => (place.id.clone(), "starts".into()),
            Post::Input { .. } => (place.id.clone(), "is asked".into()),
            Post::Heard { from, number, .. } => {
                (place.id.clone(), format!("hears {from} answer number {number}"))
            }
            Post::Frame { from, instance, bytes } => {
                let path = instance.below(&place.id).unwrap_or_default();
                let known = tree.kind_at(path).and_then(|kind| self.describe.get(&kind));
                let said = known.and_then(|describe| describe(bytes));
                let said = said.unwrap_or_else(|| format!("{} bytes", bytes.len()));
                (instance.clone(), format!("{from}: {said}"))
            }
            Post::Alarm(alarm) => (alarm.instance.clone(), "is woken".into()),
            Post::Answer { job, .. } => (job.clone(), "is computed".into()),
            Post::Notice(notice) => (place.id.clone(), format!("is told: {notice:?}")),
        };
        let face = if place.face == 0 { "" } else { "'" };
        format!("{:>6}  {}{face}  {at}  {what}", self.steps, self.name(place.owner))
    }
}

/// The rest of the line: what it caused.
pub(super) fn caused(desk: &Desk) -> String {
    let mut text = String::new();
    let sent = desk.deeds.iter().filter(|deed| matches!(deed, Deed::Sent { .. })).count();
    let mut add = |words: std::fmt::Arguments<'_>| {
        write!(text, " -> {words}").expect("a string takes any text");
    };
    if sent > 0 {
        add(format_args!("sends {sent}"));
    }
    for deed in &desk.deeds {
        match deed {
            Deed::Accused { peer, fault, .. } => add(format_args!("accuses {peer}: {fault}")),
            Deed::Opened { id, .. } => add(format_args!("opens {id}")),
            Deed::Retired(id) => add(format_args!("ends {id}")),
            _ => {}
        }
    }
    desk.said.iter().flatten().for_each(|output| add(format_args!("output {output}")));
    text
}

/// Hashes what a tree said, to compare it with what it says when it is run again.
pub(super) fn note(said: &mut blake3::Hasher, deed: &Deed) {
    match deed {
        Deed::Sent { to, instance, frame, .. } => {
            said.update(&wire::encode(&(to, instance, frame.len())));
            said.update(frame);
        }
        Deed::Told { number, bytes, .. } | Deed::Asked { number, bytes, .. } => {
            said.update(&number.to_le_bytes());
            said.update(bytes);
        }
        _ => {}
    }
}
