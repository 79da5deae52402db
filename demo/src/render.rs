//! Reports, failures and echoes as text for a person.

use std::fmt::Write;

use comfy_table::{ContentArrangement, Table, presets};

use crate::{
    cluster::{
        Change, Echo, GroupStatus, Item, LockLine, State, TxCard, TxLine, Votes, kind::does,
    },
    command::{find, help, table::Entry},
    failure::{Code, Failure},
    report::{Ended, HelpLine, Reading, Report, Tally},
};

const BOLD: &str = "\x1b[1m";
const DIM: &str = "\x1b[2m";
const RED: &str = "\x1b[31m";
const GREEN: &str = "\x1b[32m";
const YELLOW: &str = "\x1b[33m";
const PLAIN: &str = "\x1b[0m";

/// A report as text, with colours that the screen strips where they do not belong.
pub(crate) fn report(report: &Report) -> String {
    match report {
        Report::Help { commands } => explain(commands),
        Report::Begun { tx, token, client, tally } => format!(
            "{}tx {BOLD}{tx}{PLAIN} started by `{client}`; others join it with\n  join {token}\n",
            votes(tally, |_| "began it".to_owned())
        ),
        Report::Joined { tx, client, tally } => format!(
            "{}`{client}` takes part in tx {BOLD}{tx}{PLAIN}\n",
            votes(tally, |_| "let it in".to_owned())
        ),
        Report::Client { client, tx, left_behind } => {
            now_speaks(client, tx.as_deref(), left_behind.as_deref())
        }
        Report::Read(reading) => read(reading),
        Report::Changed { changes, tally, .. } => changed(changes, tally),
        Report::Ended(ending) => ended(ending),
        Report::Transactions { transactions } => transactions_table(transactions),
        Report::Transaction(it) => card(it),
        Report::Status { groups } => status(groups),
        Report::Locks { locks } => locks_table(locks),
        Report::Injected { replica, kind, faulty, tolerates, reaches } => {
            let evidence = match *reaches {
                "none" => "Nobody can tell it from a slow network".to_owned(),
                class => format!("Evidence against it can be {class}"),
            };
            format!(
                "{replica} is faulty now: {}. {} tolerates {tolerates}; this is fault {faulty}. \
                 {evidence}.\n",
                does(*kind),
                replica.group
            )
        }
        Report::Healed { healed } if healed.is_empty() => "nothing was to be healed\n".to_owned(),
        Report::Healed { healed } => {
            healed.iter().fold(String::new(), |text, at| text + &format!("{at} is healed\n"))
        }
        Report::Evidence { items } => evidence(items),
        Report::Quiet { took_ms, .. } => format!("quiet after {took_ms} ms\n"),
        Report::Toured { .. } => String::new(),
        Report::Left { aborted } if aborted.is_empty() => String::new(),
        Report::Left { aborted } => format!("aborted what was open: {}\n", aborted.join(", ")),
    }
}

/// A failure as text.
pub(crate) fn failure(failure: &Failure) -> String {
    let code = code_word(failure.code);
    let mut text = format!("{RED}error{PLAIN}[{code}]: {}\n", failure.message);
    if !failure.help.is_empty() {
        let _ = writeln!(text, "  help: {}", failure.help);
    }
    text
}

/// Echoes of replicas, one line for all that say the same.
pub(crate) fn echoes(echoes: &[Echo]) -> String {
    let mut lines: Vec<(&str, &str, Vec<u16>)> = Vec::new();
    for Echo { replica, text } in echoes {
        match lines.iter_mut().find(|line| line.0 == replica.group && line.1 == text) {
            Some(line) => line.2.push(replica.index),
            None => lines.push((&replica.group, text, vec![replica.index])),
        }
    }
    lines.into_iter().fold(String::new(), |text, (group, said, who)| {
        text + &format!("  {DIM}{:<12} {said}{PLAIN}\n", members(group, who))
    })
}

/// Members of a group: `left[0..2]`, `left[0,2]`.
fn members(group: &str, mut who: Vec<u16>) -> String {
    who.sort_unstable();
    who.dedup();
    match who[..] {
        [first, .., last] if usize::from(last - first) + 1 == who.len() => {
            format!("{group}[{first}..{last}]")
        }
        _ => {
            let who: Vec<_> = who.iter().map(u16::to_string).collect();
            format!("{group}[{}]", who.join(","))
        }
    }
}

/// What each replica did, group by group. `said` are the words of the ones that agree.
fn votes(tally: &Tally, said: impl Fn(&Votes) -> String) -> String {
    let mut text = String::new();
    for votes in &tally.0 {
        let who = members(&votes.group, votes.agree.clone());
        let count = format!("({} of {} agree)", votes.agree.len(), votes.of);
        let _ = writeln!(text, "  {DIM}{who:<12}{PLAIN} {}  {DIM}{count}{PLAIN}", said(votes));
        for (replica, (_, words)) in votes.outvoted().zip(&votes.outvoted) {
            let who = replica.to_string();
            let _ = writeln!(text, "  {YELLOW}{who:<12} {words} !  outvoted{PLAIN}");
        }
        for replica in votes.silent() {
            let _ = writeln!(text, "  {DIM}{:<12} has not answered{PLAIN}", replica.to_string());
        }
    }
    if tally.is_broken() {
        let _ = writeln!(
            text,
            "  {RED}promise broken: more than f replicas lie, this may be wrong{PLAIN}"
        );
    }
    text
}

fn explain(commands: &[HelpLine]) -> String {
    match commands {
        [one] => find(one.name).map_or_else(|_| help::overview(), Entry::explain),
        _ => help::overview(),
    }
}

fn now_speaks(client: &str, tx: Option<&str>, left_behind: Option<&str>) -> String {
    match (tx, left_behind) {
        (Some(tx), _) => format!("you are now `{client}`, in tx {tx}\n"),
        (None, Some(other)) => format!(
            "you are now `{client}`; `{client}` is not part of tx {other}: `join TOKEN` first\n"
        ),
        (None, None) => format!("you are now `{client}`\n"),
    }
}

fn read(reading: &Reading) -> String {
    let words = |_: &Votes| format!("{} = {}", reading.account.key, reading.value);
    format!("{}{BOLD}{}{PLAIN}\n", votes(&reading.tally, words), reading.value)
}

fn changed(changes: &[Change], tally: &Tally) -> String {
    votes(tally, |votes| {
        let own = changes.iter().filter(|change| change.account.group == votes.group);
        let words = own.map(|Change { account, before, after }| {
            let before = before.map(|before| format!("{before} -> ")).unwrap_or_default();
            format!("{} {before}{after}", account.key)
        });
        words.collect::<Vec<_>>().join("   ")
    })
}

fn ended(ended: &Ended) -> String {
    let Ended { tx, outcome, reason, waiting_for, took_ms, tally } = ended;
    let what = votes(tally, |_| (*outcome).to_owned());
    match (*outcome, reason) {
        ("committed", _) => {
            format!("{what}tx {tx} {GREEN}committed{PLAIN}, {took_ms} ms\n")
        }
        ("pending", _) => format!(
            "{what}tx {tx} waits for {}\n",
            if waiting_for.is_empty() { "others".to_owned() } else { waiting_for.join(", ") }
        ),
        (_, Some(reason)) if !reason.is_empty() => {
            format!("{what}tx {tx} {YELLOW}aborted{PLAIN}: {reason}\n")
        }
        _ => format!("{what}tx {tx} {YELLOW}aborted{PLAIN}\n"),
    }
}

/// A table without borders: columns for the eye, words for `cut` and `awk`.
pub(crate) fn table(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(head.iter().copied());
    for row in rows {
        table.add_row(row);
    }
    let mut text = String::new();
    for line in table.lines() {
        let _ = writeln!(text, "{}", line.trim());
    }
    text
}

fn status(groups: &[GroupStatus]) -> String {
    let rows = groups.iter().map(|group| {
        let faulty = group.replicas.iter().filter(|it| it.state.is_fault() || it.fault.is_some());
        let margin = usize::from(group.f).checked_sub(faulty.count());
        let replicas: Vec<_> = group.replicas.iter().map(replica_word).collect();
        vec![
            group.name.clone(),
            group.n.to_string(),
            group.f.to_string(),
            replicas.join(" "),
            margin.map_or_else(|| "broken".to_owned(), |margin| margin.to_string()),
            group.ordered.to_string(),
        ]
    });
    table(&["GROUP", "N", "F", "REPLICAS", "MARGIN", "ORDERED"], rows)
}

fn replica_word(replica: &crate::cluster::ReplicaStatus) -> String {
    match replica.fault {
        Some(kind) if replica.state == State::Ok => format!("ok({kind})"),
        Some(kind) => format!("{}({kind})", replica.state.word()),
        None => replica.state.word().to_owned(),
    }
}

fn transactions_table(lines: &[TxLine]) -> String {
    if lines.is_empty() {
        return "no open transactions\n".to_owned();
    }
    let rows = lines.iter().map(|line| {
        let lease = format!("{} s", line.left_ms.div_ceil(1_000));
        let (clients, groups) = (line.clients.to_string(), line.groups.to_string());
        vec![line.tx.clone(), line.state.clone(), clients, groups, lease]
    });
    table(&["TX", "STATE", "CLIENTS", "GROUPS", "LEASE"], rows)
}

fn card(card: &TxCard) -> String {
    let mut text = format!("tx {BOLD}{}{PLAIN} {}", card.tx, card.state);
    if let Some(reason) = card.reason.as_deref().filter(|reason| !reason.is_empty()) {
        let _ = write!(text, ": {reason}");
    }
    text.push('\n');
    for client in &card.clients {
        let agreed = !card.waiting_for.contains(client);
        let word = if agreed { "has agreed" } else { "has yet to agree" };
        let _ = writeln!(text, "  {client:<12} {word}");
    }
    for (group, standing) in &card.groups {
        let _ = writeln!(text, "  {group:<12} {standing}");
    }
    text
}

fn locks_table(lines: &[LockLine]) -> String {
    if lines.is_empty() {
        return "no locks\n".to_owned();
    }
    let rows = lines.iter().map(|line| {
        vec![
            line.account.to_string(),
            line.mode.clone(),
            line.holders.join(","),
            line.waiting.join(","),
        ]
    });
    table(&["ACCOUNT", "MODE", "HELD BY", "WAITING"], rows)
}

fn evidence(items: &[Item]) -> String {
    if items.is_empty() {
        return "no evidence against anyone\n".to_owned();
    }
    let rows = items.iter().map(|item| {
        vec![item.culprit.to_string(), item.kind.clone(), item.class.clone(), item.text.clone()]
    });
    table(&["CULPRIT", "KIND", "CLASS", "WHAT"], rows)
}

/// The word of a code, as it stands in JSON.
fn code_word(code: Code) -> String {
    serde_json::to_value(code)
        .ok()
        .and_then(|word| word.as_str().map(str::to_owned))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests;
