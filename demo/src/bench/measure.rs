//! One run: parties are started, loaded, measured, drained and asked what they saw.

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use tokio::sync::oneshot;

use super::{
    clients::{Answers, Crowd, Schedule},
    clock,
    figures::{Figures, Point},
    fleet::{self, Fleet, Heard, Member},
    host::Serves,
    load::{Generator, Pace, Sent},
    plan::{Load, Plan},
    progress::Progress,
    sealed::Sealer,
    word::{self, Order, Sample, Verdict},
};
use crate::exit::{Exit, Stop};

/// The time between the word that the load begins and its beginning.
const LEAD: u64 = 100_000_000;

/// How long what is under way may take to arrive after the load has ended.
const DRAIN: Duration = Duration::from_secs(20);

/// How long a verdict may take.
const VERDICT: Duration = Duration::from_secs(10);

/// A span of the figures' timeline, in nanoseconds.
const SLICE: u64 = 250_000_000;

/// How many bytes of payloads a good party may have delivered less than another one until the generators
/// at saturation wait for it: a quarter of what the parties keep for those who are behind.
const APART_MAX: u64 = 64 << 20;

/// Nanoseconds of a second.
const SECOND: u64 = 1_000_000_000;

/// CPU nanoseconds of this process, at a moment.
#[derive(Clone, Copy)]
struct Own {
    at: u64,
    process: u64,
    load: u64,
}

impl Own {
    fn now() -> Self {
        Self {
            at: clock::now(),
            process: clock::process_cpu(),
            load: clock::threads_cpu(fleet::LOAD),
        }
    }
}

/// A run under way: its parties, who of them is good, and when what happens.
struct Run<'a> {
    plan: &'a Plan,
    fleet: Fleet,
    good: Vec<usize>,
    start: u64,
    span: Range<u64>,
    /// Set while a good party is far behind.
    hold: Arc<AtomicBool>,
    signal: &'a mpsc::Receiver<()>,
    progress: &'a Progress,
}

/// Runs the plan once on such parties.
pub(crate) fn run(
    plan: &Plan,
    serves: Serves,
    signal: &mpsc::Receiver<()>,
    progress: &Progress,
) -> Result<Figures, Stop> {
    progress.say("starting the parties");
    let fleet = Fleet::start(plan, serves, signal)?;
    let crowd = match plan.load {
        Load::Clients(clients) => Some(Gathered::new(plan, &fleet, clients, signal)?),
        Load::Rate(_) | Load::Saturate(_) => None,
    };
    let start = clock::now() + LEAD;
    let from = start + plan.warm_up.as_nanos() as u64;
    let span = from..from + plan.duration.as_nanos() as u64;
    fleet.say(&Order::Begin { from: span.start, until: span.end });
    let faulty = plan.faulty().filter(|_| serves != Serves::Floor);
    let faulty = faulty.map(|(party, _)| usize::from(party));
    let good = (0..fleet.members.len()).filter(|place| Some(*place) != faulty).collect();
    let hold = Arc::default();
    let run = Run { plan, fleet, good, start, span, hold, signal, progress };
    match crowd {
        Some(crowd) => run.ask(crowd),
        None => run.submit(),
    }
}

/// Clients that are connected and wait for their schedule.
struct Gathered {
    thread: JoinHandle<Result<Answers, Stop>>,
    go: oneshot::Sender<Schedule>,
}

impl Gathered {
    fn new(
        plan: &Plan,
        fleet: &Fleet,
        clients: u16,
        signal: &mpsc::Receiver<()>,
    ) -> Result<Self, Stop> {
        let ((ready, connected), (go, going)) = (mpsc::channel(), oneshot::channel());
        let (folder, reach) = (fleet.folder.path().into(), fleet.reach.clone());
        let crowd = Crowd { folder, clients, size: plan.size, reach, ready, go: going };
        let thread = thread::Builder::new().name(fleet::LOAD.to_owned());
        let thread = thread.spawn(move || crowd.run())?;
        // The channel also ends when the thread does; then it says why when it is asked.
        while connected.recv_timeout(fleet::LOOK) == Err(mpsc::RecvTimeoutError::Timeout) {
            fleet.check(signal)?;
        }
        Ok(Self { thread, go })
    }
}

impl Run<'_> {
    /// Submits payloads, and asks every party what its subscriber saw.
    fn submit(&self) -> Result<Figures, Stop> {
        let stop = Arc::new(AtomicBool::new(false));
        let watched = self.generators(&stop).and_then(|threads| self.watch(threads));
        stop.store(true, Ordering::Relaxed);
        let (own, sent) = watched?;
        let total = self.good.iter().map(|place| sent[*place].sent).sum();
        let sums = sent.iter().map(|sent| sent.sent).collect();
        let verdicts = self.verdicts(total, sums)?;
        let throughput = |span: &Range<u64>| self.throughput(span);
        let mut figures = self.figures(throughput, &own, self.timeline());
        figures.unsent = self.good.iter().map(|place| sent[*place].unsent).sum();
        figures.hear(&verdicts);
        figures.latencies(verdicts.iter().flat_map(|verdict| verdict.latencies.iter().copied()));
        Ok(figures)
    }

    /// Asks as clients do, and asks every replica what took effect.
    fn ask(&self, crowd: Gathered) -> Result<Figures, Stop> {
        let schedule = Schedule { start: self.start, span: self.span.clone(), slice: SLICE };
        // If the crowd has ended, it says why below.
        let _ = crowd.go.send(schedule);
        let (own, answers) = self.watch(vec![crowd.thread])?;
        let answers = answers.into_iter().next().expect("there is one crowd")?;
        let verdicts = self.verdicts(answers.asked, vec![answers.asked])?;
        let throughput = |span: &Range<u64>| answers.per_second(&self.span, span, SLICE);
        let timeline = (0..).zip(&answers.slices).map(|(place, (_, slowest_us))| {
            let start = self.span.start + place * SLICE;
            let per_s = throughput(&(start..start + SLICE));
            self.point(start, per_s, *slowest_us)
        });
        let mut figures = self.figures(throughput, &own, timeline.collect());
        figures.hear(&verdicts);
        figures.latencies(answers.latencies.iter().copied());
        figures.gaps += answers.unanswered;
        figures.duplicates += answers.again;
        figures.disorders += answers.wrong;
        Ok(figures)
    }

    /// Starts a generator for every party.
    fn generators(&self, stop: &Arc<AtomicBool>) -> Result<Vec<JoinHandle<Sent>>, Stop> {
        let n = f64::from(self.plan.n);
        let pace = |party: u16| match self.plan.load {
            Load::Saturate(_) | Load::Clients(_) => None,
            Load::Rate(rate) => {
                Some(Pace { gap: SECOND as f64 * n / rate as f64, ahead: f64::from(party) / n })
            }
        };
        let start = |(party, member): (u16, &Member)| {
            let (socket, sealer) = (member.socket.try_clone()?, self.sealer(party)?);
            let generator = Generator {
                number: party.into(),
                size: self.plan.size,
                pace: pace(party),
                window: self.plan.window(),
                sealed: sealer.is_some(),
                way: Box::new(move |batch| {
                    let order = match &sealer {
                        Some(sealer) => Order::Forward(sealer.seal(&batch)?),
                        None => Order::Submit(batch),
                    };
                    word::say(&mut &socket, &order)
                }),
                news: Arc::clone(&member.news),
                stop: Arc::clone(stop),
                hold: Arc::clone(&self.hold),
            };
            let span = self.start..self.span.end;
            let thread = thread::Builder::new().name(format!("{} {party}", fleet::LOAD));
            Ok(thread.spawn(move || generator.run(span))?)
        };
        (0..).zip(&self.fleet.members).map(start).collect()
    }

    /// Who encrypts for this party, if anybody does.
    fn sealer(&self, party: u16) -> Result<Option<Sealer>, Stop> {
        let (folder, reach) = (self.fleet.folder.path(), &self.fleet.reach);
        self.plan.secure.map(|_| Sealer::new(folder, party, reach)).transpose()
    }

    /// Looks on until the load has ended. What this process used at both ends of the span, and what
    /// the threads of the load say.
    fn watch<T>(&self, threads: Vec<JoinHandle<T>>) -> Result<(Range<Own>, Vec<T>), Stop> {
        let (mut first, mut last) = (None, None);
        loop {
            let now = clock::now();
            if now >= self.span.start && first.is_none() {
                first = Some(Own::now());
            }
            if now >= self.span.end && last.is_none() {
                last = Some(Own::now());
            }
            let members = self.fleet.members.iter();
            let rates = members.map(|member| recent(&member.news.heard().samples));
            self.progress.step(&self.span, now, rates.fold(0.0, f64::max));
            self.hold.store(self.is_apart(), Ordering::Relaxed);
            self.fleet.check(self.signal)?;
            if threads.iter().all(JoinHandle::is_finished) {
                let fell = |_| Stop::new(Exit::Bug, "a thread of the load fell over", "");
                let said = threads.into_iter().map(|thread| thread.join().map_err(fell));
                let said = said.collect::<Result<_, _>>()?;
                // Those that end early have a reason, and say so.
                let ends = first.unwrap_or_else(Own::now)..last.unwrap_or_else(Own::now);
                return Ok((ends, said));
            }
            if now > self.span.end + 2 * DRAIN.as_nanos() as u64 {
                let help = "its log may say why; try a lower --rate";
                let message = "a party takes no payloads any more";
                return Err(Stop::new(Exit::Failed, message, help));
            }
            thread::sleep(fleet::LOOK);
        }
    }

    /// Whether a good party has delivered much less than another one.
    fn is_apart(&self) -> bool {
        let delivered = self.good.iter().map(|place| {
            let heard = self.fleet.members[*place].news.heard();
            heard.samples.last().map_or(0, |sample| sample.delivered)
        });
        let (least, most) = delivered.fold((u64::MAX, 0), |(least, most), delivered| {
            (least.min(delivered), most.max(delivered))
        });
        most.saturating_sub(least).saturating_mul(self.plan.size as u64) > APART_MAX
    }

    /// Waits until everybody who is good has so much, and asks what they saw.
    fn verdicts(&self, total: u64, sent: Vec<u64>) -> Result<Vec<Verdict>, Stop> {
        self.progress.say("waiting for what is under way");
        let arrived =
            |heard: &Heard| heard.samples.last().is_some_and(|sample| sample.delivered >= total);
        // What has not arrived by then shows as gaps.
        self.fleet.wait(self.signal, DRAIN, arrived)?;
        self.fleet.say(&Order::Finish(sent));
        if !self.fleet.wait(self.signal, VERDICT, |heard| heard.verdict.is_some())? {
            let help = "it did not answer in time; try a lower --rate";
            return Err(Stop::new(Exit::Failed, "a party keeps its verdict to itself", help));
        }
        let members = self.good.iter().map(|place| &self.fleet.members[*place]);
        Ok(members.filter_map(|member| member.news.heard().verdict.clone()).collect())
    }

    /// What rates and CPU time say.
    fn figures(
        &self,
        throughput: impl Fn(&Range<u64>) -> f64,
        own: &Range<Own>,
        timeline: Vec<Point>,
    ) -> Figures {
        let per_s = throughput(&self.span);
        let (parties, clients) = self.cpu(own);
        // Of nothing delivered, nothing has a price; and JSON has no infinity.
        let each = |used: f64| if per_s > 0.0 { used * 1e6 / per_s } else { 0.0 };
        Figures {
            throughput_per_s: per_s,
            throughput_after_first_second_per_s: throughput(
                &(self.span.start + SECOND..self.span.end),
            ),
            cpu_us_per_payload: each(parties),
            cpu_us_per_payload_clients: each(clients),
            timeline,
            in_process: self.plan.in_process,
            ..Figures::default()
        }
    }

    /// Payloads a second that everybody who is good delivered in a span.
    fn throughput(&self, span: &Range<u64>) -> f64 {
        let rate = |place: &usize| {
            let (first, last) = ends(&self.fleet.members[*place].news.heard().samples, span);
            per_second(first.delivered, last.delivered, first.at, last.at)
        };
        self.good.iter().map(rate).fold(f64::INFINITY, f64::min)
    }

    /// CPU seconds a second, of all parties and of the load.
    fn cpu(&self, Range { start, end }: &Range<Own>) -> (f64, f64) {
        let process = per_second(start.process, end.process, start.at, end.at) / SECOND as f64;
        let load = per_second(start.load, end.load, start.at, end.at) / SECOND as f64;
        if self.plan.in_process {
            return ((process - load).max(0.0), load);
        }
        let used = |member: &Member| {
            let (first, last) = ends(&member.news.heard().samples, &self.span);
            per_second(first.cpu, last.cpu, first.at, last.at) / SECOND as f64
        };
        (self.fleet.members.iter().map(used).sum(), process)
    }

    /// How it went over time, as the slowest good party saw it.
    fn timeline(&self) -> Vec<Point> {
        let starts = (self.span.start..self.span.end).step_by(SLICE as usize);
        let point = |start: u64| {
            let slice = start..(start + SLICE).min(self.span.end);
            let slowest = |place: &usize| {
                let heard = self.fleet.members[*place].news.heard();
                let from = heard.samples.partition_point(|sample| sample.at < slice.start);
                let within = heard.samples[from..].iter();
                let within = within.take_while(|sample| sample.at < slice.end);
                within.map(|sample| sample.slowest_us).max().unwrap_or(0)
            };
            let slowest_us = self.good.iter().map(slowest).max().unwrap_or(0);
            self.point(start, self.throughput(&slice), slowest_us)
        };
        starts.map(point).collect()
    }

    fn point(&self, at: u64, per_s: f64, slowest_us: u64) -> Point {
        Point {
            at_s: (at - self.span.start) as f64 / SECOND as f64,
            per_s,
            slowest_ms: slowest_us as f64 / 1e3,
        }
    }
}

/// Payloads a second over about the last second.
fn recent(samples: &[Sample]) -> f64 {
    let Some(last) = samples.last() else { return 0.0 };
    let first = samples.iter().rev().take_while(|sample| sample.at + SECOND > last.at).last();
    first.map_or(0.0, |first| per_second(first.delivered, last.delivered, first.at, last.at))
}

fn per_second(from: u64, to: u64, start: u64, end: u64) -> f64 {
    let time = end.saturating_sub(start) as f64 / SECOND as f64;
    if time > 0.0 { to.saturating_sub(from) as f64 / time } else { 0.0 }
}

/// The first and the last sample of a span. They stand in the order of time.
fn ends(samples: &[Sample], span: &Range<u64>) -> (Sample, Sample) {
    let place = |moment: u64| samples.partition_point(|sample| sample.at < moment);
    let within = &samples[place(span.start)..place(span.end).max(place(span.start))];
    let first = within.first().copied().unwrap_or_default();
    (first, within.last().copied().unwrap_or(first))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::float_cmp, reason = "the figures are whole")]

    use super::*;

    #[test]
    fn rates_come_from_the_samples_of_a_span() {
        let sample = |at_s: u64, delivered: u64| Sample {
            at: at_s * SECOND,
            delivered,
            ..Sample::default()
        };
        let samples: Vec<_> = (0..10).map(|at| sample(at, at * at)).collect();
        let ends_of = |from: u64, to: u64| {
            let (first, last) = ends(&samples, &(from * SECOND..to * SECOND));
            (first.delivered, last.delivered)
        };
        assert_eq!(ends_of(2, 5), (4, 16));
        assert_eq!(ends_of(5, 2), (0, 0), "a fault in a run of less than a second");
        assert_eq!(ends_of(20, 30), (0, 0));
        assert_eq!(recent(&samples), 0.0, "one sample has no rate");
        assert_eq!(per_second(4, 16, 2 * SECOND, 4 * SECOND), 6.0);
        assert_eq!(per_second(4, 16, SECOND, SECOND), 0.0);
    }
}
