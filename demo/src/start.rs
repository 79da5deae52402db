//! `maftia demo` and `maftia console`: a cluster, and a console on it.

use std::{io::IsTerminal, sync::Arc, time::Duration};

use maftia::{
    assembly::{Assembly, Reach},
    cluster::Cluster,
};
use maftia_actors::keyring;
use maftia_core::config::Config;

use crate::{
    cli::{Console, Demo, Script},
    cluster::Cluster as _,
    command::words::printable,
    console,
    exit::{Exit, Stop},
    live::Live,
    reached::Reached,
    screen::{self, Screen},
    script::{self, Player},
    settings,
    shell::Shell,
    signals,
};

/// Clients for whom the demo has keys, beside the one who sits down first.
const GUESTS: [&str; 5] = ["you", "alice", "bob", "carol", "dave"];

/// How long the parties of the demo may take to finish: nothing of them is kept.
const GRACE: Duration = Duration::from_millis(500);

/// `maftia demo`: the console on a cluster in this process.
pub(crate) fn demo(demo: &Demo) -> Result<Exit, Stop> {
    let (script, first) = (demo.script.clone(), demo.speaker.client.clone());
    let config = demo_config(&first)?;
    maftia::run(async move {
        let begun = std::time::Instant::now();
        let seed = maftia::seed().map_err(|error| {
            Stop::new(Exit::Io, format!("the system gives no random bits: {error}"), "try again")
        })?;
        let cluster = Cluster::embedded(config, &seed).await.map_err(|error| {
            Stop::new(Exit::Failed, format!("the cluster does not start: {error}"), "")
        })?;
        let banner = format!(
            "maftia {} - transaction managers `tm`, accounts `left` and `right`, 4 replicas each, in \
             this process\nkeys dealt, 12 replicas ready in {:.1} s. Type `help`, or `tour` for a \
             guided run.\n",
            env!("CARGO_PKG_VERSION"),
            begun.elapsed().as_secs_f32()
        );
        sit_down(Reached::new(cluster, first.clone(), None), &first, &script, &banner).await
    })
}

/// The configuration of the demo, with keys for whoever sits down.
fn demo_config(first: &str) -> Result<Config, Stop> {
    // The first name is the one that the cluster itself is opened with.
    let others = GUESTS.into_iter().filter(|name| *name != first);
    let names: Vec<_> = std::iter::once(first).chain(others).map(|it| format!("{it:?}")).collect();
    let sample = Config::sample().replace(r#"["you", "bob"]"#, &format!("[{}]", names.join(", ")));
    Config::parse(&sample).map_err(|_| {
        let message = format!("`{}` is no name of a client", printable(first));
        let help = "with --as, give 1 to 32 of a-z, 0-9, - and _, a letter first";
        Stop::new(Exit::Configuration, message, help)
    })
}

/// `maftia console`: the same on a cluster that runs elsewhere.
pub(crate) fn console(console: &Console) -> Result<Exit, Stop> {
    let (script, first) = (console.script.clone(), console.speaker.client.clone());
    let path = console.source.config.clone();
    let config = settings::read(&path)?;
    let folder = keyring::key_folder(&config, &path);
    let ring = settings::client(&config, &folder, &first)?;
    maftia::run(async move {
        let assembly = Assembly::new(config, Arc::clone(ring.public()), Reach::Network);
        let cluster = Cluster::remote(assembly, &ring).await.map_err(|error| {
            Stop::new(
                Exit::Io,
                format!("cannot reach the cluster: {error}"),
                "`maftia up` starts it",
            )
        })?;
        let banner = format!(
            "maftia {} - on the cluster of {}. Type `help`.\n",
            env!("CARGO_PKG_VERSION"),
            path.display()
        );
        sit_down(Reached::new(cluster, first.clone(), Some(folder)), &first, &script, &banner).await
    })
}

/// Runs a script, a pipe or a person to the end, then stops what was started for it.
async fn sit_down(
    reached: Reached,
    first: &str,
    script: &Script,
    banner: &str,
) -> Result<Exit, Stop> {
    let shell = Shell::new(Live::new(reached), first);
    if !script.json {
        // What was before the first command is no news after it.
        shell.cluster().echoes(true).await;
    }
    let prompted = script.exec.is_none() && !script.json && std::io::stdin().is_terminal();
    if prompted {
        let (shell, exit) = console::interactive(shell, banner).await;
        shell.into_cluster().into_carrier().stop(GRACE).await;
        return exit;
    }
    let lines = match &script.exec {
        Some(path) => script::lines(path)?,
        None => script::piped(std::io::stdin()),
    };
    let screen = if script.json { Screen::Json } else { Screen::Text };
    let mut player = Player::new(shell, screen);
    let exit = script::play(&mut player, lines, signals::stopped()).await;
    player.shell.into_cluster().into_carrier().stop(GRACE).await;
    // What is on the way to a reader must be there before the process ends.
    screen::data("")?;
    exit
}
