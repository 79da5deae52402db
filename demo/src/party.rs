//! `maftia node`: one party in this process, until it is told to stop.

use std::{io::Read, path::Path, thread, time::Duration};

use maftia::{
    assembly::{self, Assembly, Reach},
    member::Member,
};
use maftia_actors::{
    log::LogError,
    node::{Frozen, NodeError},
    party::State,
};
use maftia_core::seat::Owner;
use tokio::sync::oneshot;

use crate::{
    cli::Node,
    exit::{Exit, Stop},
    screen, settings, signals,
};

/// How long a party may take to finish what is under way.
const GRACE: Duration = Duration::from_secs(3);

/// Runs the party.
pub(crate) fn run(node: &Node) -> Result<Exit, Stop> {
    maftia::run(live(node))
}

async fn live(node: &Node) -> Result<Exit, Stop> {
    let config = settings::read(&node.source.config)?;
    let ring = settings::ring(&config, &node.keys)?;
    let Owner::Party(group, party) = ring.owner() else {
        let message = format!("{} is the key of a client, not of a party", node.keys.display());
        return Err(Stop::new(
            Exit::Keys,
            message,
            "give the key file of a party, as keys/left-2.key",
        ));
    };
    let group = config.group(group).expect("a key ring fits its configuration").clone();
    let (name, file) = (group.member_name(party), format!("{}-{}", group.name, party.index()));
    let address = group.address(party).map(ToString::to_string).unwrap_or_default();
    let beside = node.source.config.parent().unwrap_or(Path::new(""));
    let durability = assembly::durability(&config, &group, beside, &file);
    let lab = node.lab || config.lab();
    let assembly = Assembly::new(config, std::sync::Arc::clone(ring.public()), Reach::Network);
    let member = assembly.member(&ring, durability, Frozen::Exit, lab).await;
    let member = member.map_err(|error| not_started(&name, &error))?;
    screen::data(&format!("{name} listens at {address}\n"))?;
    until_stopped(member, &name, node.leashed).await
}

async fn until_stopped(member: Member, name: &str, leashed: bool) -> Result<Exit, Stop> {
    let mut states = member.states();
    let fell = async move {
        match states.wait_for(|state| matches!(state, State::Stopped(_))).await.as_deref() {
            Ok(State::Stopped(why)) => why.to_string(),
            _ => "its thread ended".to_owned(),
        }
    };
    tokio::select! {
        why = fell => {
            let help = "its log says more; started again, it goes on where it was";
            Err(Stop::new(Exit::Failed, format!("{name} stopped: {why}"), help))
        }
        () = signals::stopped() => {
            member.leave(GRACE).await;
            Ok(Exit::Fine)
        }
        () = let_go(), if leashed => {
            member.leave(GRACE).await;
            Ok(Exit::Fine)
        }
    }
}

/// Returns when the other end of standard input is closed: whoever started this has ended.
async fn let_go() {
    let (sender, gone) = oneshot::channel::<()>();
    thread::spawn(move || {
        let mut rest = [0; 64];
        while matches!(std::io::stdin().read(&mut rest), Ok(read) if read > 0) {}
        drop(sender);
    });
    // The sender says nothing: its end is the news.
    let _ = gone.await;
}

/// A party never begins anew where it has spoken before: it could say something else.
const fn not_remembered(error: &LogError) -> (Exit, &'static str) {
    match error {
        LogError::InUse { .. } => (
            Exit::Io,
            "the same party runs already: stop that process, `fuser -v` the folder finds it",
        ),
        LogError::Foreign { .. } => (
            Exit::Configuration,
            "start it with the configuration and keys that it ran with; after a new deal, move the \
             data folders of all parties away",
        ),
        LogError::Damaged { .. } => (Exit::Failed, "restore its data folder from a copy"),
        LogError::Io { .. } => (Exit::Io, "check the data folder, its permissions and its room"),
    }
}

fn not_started(name: &str, error: &NodeError) -> Stop {
    let (exit, help) = match error {
        NodeError::Listen(_) => {
            (Exit::Io, "another process may have the port: `ss -ltnp` tells which")
        }
        NodeError::Log(error) => not_remembered(error),
        NodeError::Start(_) => (Exit::Failed, "restore its data folder from a copy"),
        NodeError::Thread => (Exit::Failed, "see its log"),
    };
    Stop::new(exit, format!("{name} cannot start: {error}"), help)
}
