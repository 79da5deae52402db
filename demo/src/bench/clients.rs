//! A closed loop: client sessions, each of which waits for its answer before it asks again. All live in
//! one process and on one thread, and share its links: each is a strand of the process's session.

use std::{
    cell::{Cell, OnceCell, RefCell},
    collections::BTreeMap,
    ops::Range,
    path::PathBuf,
    rc::Rc,
    sync::mpsc,
    time::Duration,
};

use bytes::Bytes;
use hdrhistogram::Histogram;
use maftia_actors::{
    address::Address,
    link::Links,
    log::Store,
    party::{Party, Setup, Started},
    placement::Placement,
    pool::Pool,
};
use maftia_core::replica::{
    STRANDS_MAX, Session,
    session::{Input, Output, Spec},
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    sync::oneshot,
    time::{sleep, timeout},
};

use super::{
    clock,
    home::{Home, Reach},
    word::{STAMP, Stamp},
};
use crate::exit::{Exit, Stop};

/// The longest latency that is told apart, in microseconds: an hour.
const LATENCY_MAX: u64 = 3_600_000_000;

/// How long the last answers may take.
const DRAIN: Duration = Duration::from_secs(20);

/// How often it is looked whether all have come.
const LOOK: Duration = Duration::from_millis(5);

/// How long it may take until all are connected: each process has to prove its name to each replica,
/// which takes one host's proofs at a pace.
const CONNECTED: Duration = Duration::from_mins(1);

/// Who asks.
pub(crate) struct Crowd {
    /// The folder of the bench.
    pub(crate) folder: PathBuf,
    /// How many client sessions.
    pub(crate) clients: u16,
    /// Bytes of a request.
    pub(crate) size: usize,
    /// The way to the replicas.
    pub(crate) reach: Reach,
    /// Told when all are connected.
    pub(crate) ready: mpsc::Sender<()>,
    /// Tells when to begin.
    pub(crate) go: oneshot::Receiver<Schedule>,
}

/// When clients ask.
#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    /// When the first requests are made.
    pub(crate) start: u64,
    /// What is measured; nothing is asked after its end.
    pub(crate) span: Range<u64>,
    /// Nanoseconds of a slice of the timeline.
    pub(crate) slice: u64,
}

/// What the clients saw.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answers {
    /// Latencies of requests that were made in the span: microseconds, and how many took so long.
    pub(crate) latencies: Vec<(u64, u64)>,
    /// Requests that were made.
    pub(crate) asked: u64,
    /// Requests that were never answered, or refused.
    pub(crate) unanswered: u64,
    /// Answers that came again, or to what was not asked.
    pub(crate) again: u64,
    /// Answers that are not what was asked.
    pub(crate) wrong: u64,
    /// Answers in each slice of the span, and the slowest of them in microseconds.
    pub(crate) slices: Vec<(u64, u64)>,
}

impl Answers {
    /// Answers a second in the slices of a part of the measured span.
    pub(crate) fn per_second(&self, span: &Range<u64>, part: &Range<u64>, slice: u64) -> f64 {
        let starts = (span.start..).step_by(slice as usize);
        let within = starts.zip(&self.slices).filter(|(start, _)| part.contains(start));
        let (mut answers, mut time) = (0, 0);
        for (start, (count, _)) in within {
            answers += count;
            time += slice.min(span.end - start);
        }
        if time == 0 { 0.0 } else { answers as f64 * 1e9 / time as f64 }
    }
}

/// What all clients write into.
struct Book {
    span: Range<u64>,
    slice: u64,
    latencies: RefCell<Histogram<u64>>,
    answers: RefCell<Answers>,
    /// Clients whose request is under way.
    waiting: Cell<usize>,
}

/// What is under way for a client.
#[derive(Default)]
struct Asked {
    /// Which client.
    client: u16,
    /// When it asked.
    at: u64,
    /// What it asked.
    body: Bytes,
}

/// A process with its session, and the clients that are strands of it.
struct Desk {
    first: u16,
    clients: u16,
    size: usize,
    book: OnceCell<Rc<Book>>,
    session: OnceCell<Address<Session>>,
    /// How often it was asked.
    count: Cell<u64>,
    /// What is under way, by the number of the input.
    asked: RefCell<BTreeMap<u64, Asked>>,
}

/// How many processes it takes to have so many clients.
pub(crate) const fn desks(clients: u16) -> u16 {
    clients.div_ceil(STRANDS_MAX)
}

impl Crowd {
    /// Connects, asks on schedule, and waits for the last answers.
    pub(crate) fn run(self) -> Result<Answers, Stop> {
        maftia::run(self.live())
    }

    async fn live(self) -> Result<Answers, Stop> {
        allow_sockets();
        let pool = Pool::new(1);
        let (mut sessions, mut all) = (Vec::new(), Vec::new());
        for number in 0..desks(self.clients) {
            let desk = Rc::new(Desk::new(number * STRANDS_MAX, self.clients, self.size));
            let home = Home::of_client(&self.folder, number, self.reach.clone())?;
            sessions.push(open(&home, pool.clone(), Rc::clone(&desk)).await?);
            all.push(desk);
        }
        connected(&sessions).await?;
        // The bench may have given up; then there is no schedule either.
        let _ = self.ready.send(());
        let Ok(schedule) = self.go.await else { return Ok(Answers::default()) };
        let book = Rc::new(Book::new(schedule.span.clone(), schedule.slice));
        for (desk, started) in all.iter().zip(&sessions) {
            // Both are set once, here.
            let _ = desk.book.set(Rc::clone(&book));
            let _ = desk.session.set(started.root.clone());
        }
        sleep(clock::until(schedule.start)).await;
        all.iter().for_each(|desk| desk.ask_all());
        sleep(clock::until(schedule.span.end)).await;
        let quiet = async {
            while book.waiting.get() > 0 {
                sleep(LOOK).await;
            }
        };
        // Who has no answer by then is counted.
        let _ = timeout(DRAIN, quiet).await;
        sessions.iter().for_each(|started| started.party.stop("the bench is over"));
        Ok(book.close())
    }
}

/// Returns when every session has a line to every replica.
async fn connected(sessions: &[Started<Session>]) -> Result<(), Stop> {
    let ready = |started: &Started<Session>| {
        let lines = started.party.links().status();
        let members = started.with(|tree| tree.seat().parties().count()).unwrap_or(0);
        lines.iter().filter(|line| line.connected).count() >= members
    };
    let all = async {
        for started in sessions {
            while !ready(started) {
                sleep(LOOK).await;
            }
        }
    };
    let help = "fewer --clients connect faster";
    let late = |_| Stop::new(Exit::Failed, "the clients could not connect in time", help);
    timeout(CONNECTED, all).await.map_err(late)
}

impl Book {
    fn new(span: Range<u64>, slice: u64) -> Self {
        let slices = (span.end - span.start).div_ceil(slice.max(1)) as usize;
        let latencies = Histogram::new_with_bounds(1, LATENCY_MAX, 3);
        Self {
            span,
            slice: slice.max(1),
            latencies: RefCell::new(latencies.expect("the bounds are in order")),
            answers: RefCell::new(Answers { slices: vec![(0, 0); slices], ..Answers::default() }),
            waiting: Cell::new(0),
        }
    }

    fn note(&self, asked: u64, now: u64) {
        let latency_us = now.saturating_sub(asked) / 1_000;
        if self.span.contains(&asked) {
            self.latencies.borrow_mut().saturating_record(latency_us.max(1));
        }
        if self.span.contains(&now) {
            let place = ((now - self.span.start) / self.slice) as usize;
            let slice = &mut self.answers.borrow_mut().slices[place];
            *slice = (slice.0 + 1, slice.1.max(latency_us));
        }
    }

    fn close(&self) -> Answers {
        let mut answers = self.answers.borrow().clone();
        answers.unanswered += self.waiting.get() as u64;
        let latencies = self.latencies.borrow();
        let recorded = latencies.iter_recorded();
        answers.latencies =
            recorded.map(|it| (it.value_iterated_to(), it.count_at_value())).collect();
        answers
    }
}

impl Desk {
    /// The desk of the clients from `first` on, of so many in all.
    fn new(first: u16, all: u16, size: usize) -> Self {
        let clients = (all - first).min(STRANDS_MAX);
        let (book, session, count, asked) = Default::default();
        Self { first, clients, size, book, session, count, asked }
    }

    /// What it writes into. There is no answer before there is a request.
    fn book(&self) -> &Book {
        self.book.get().expect("it is set before anybody asks")
    }

    fn ask_all(&self) {
        (0..self.clients).for_each(|strand| self.ask(self.first + strand));
    }

    fn ask(&self, client: u16) {
        let (at, number) = (clock::now(), self.count.get());
        let mut body = vec![0x5a; self.size];
        if self.size >= STAMP {
            let stamp = Stamp { generator: client.into(), number, intended: at };
            body[..STAMP].copy_from_slice(&stamp.to_bytes());
        }
        let body = Bytes::from(body);
        self.count.set(number + 1);
        let session = self.session.get().expect("it is set before anybody asks");
        self.book().answers.borrow_mut().asked += 1;
        let strand = client - self.first;
        match session.try_ask(Input::Request { strand, body: body.clone() }) {
            Ok(()) => {
                self.book().waiting.set(self.book().waiting.get() + 1);
                self.asked.borrow_mut().insert(number + 1, Asked { client, at, body });
            }
            Err(_) => self.book().answers.borrow_mut().unanswered += 1,
        }
    }

    fn hear(&self, output: Output) {
        match output {
            Output::Answered { number, body, .. } => self.on_answer(number, &body),
            Output::Refused { number, .. } => {
                self.asked.borrow_mut().remove(&number);
                self.book().waiting.set(self.book().waiting.get() - 1);
                self.book().answers.borrow_mut().unanswered += 1;
            }
            // It goes on trying; and who was outvoted is of no interest here.
            Output::NoQuorum { .. } | Output::Tallied { .. } => {}
        }
    }

    fn on_answer(&self, number: u64, body: &Bytes) {
        let now = clock::now();
        let Some(asked) = self.asked.borrow_mut().remove(&number) else {
            self.book().answers.borrow_mut().again += 1;
            return;
        };
        if *body != asked.body {
            self.book().answers.borrow_mut().wrong += 1;
        }
        self.book().note(asked.at, now);
        self.book().waiting.set(self.book().waiting.get() - 1);
        if now < self.book().span.end {
            self.ask(asked.client);
        }
    }
}

/// Opens a session.
async fn open(home: &Home, pool: Pool, desk: Rc<Desk>) -> Result<Started<Session>, Stop> {
    let failed = |error: String| Stop::new(Exit::Failed, error, "");
    let passport = home.passport();
    let bound = home.network().bind(&passport).await;
    let bound = bound.map_err(|error| failed(error.to_string()))?;
    let links = Links::new(passport);
    let (log, recovered) = Store::default().open();
    let setup = Setup {
        seat: home.seat(),
        spec: Spec::new(1),
        log: Box::new(log),
        recovered,
        links: links.clone(),
        pool,
        placement: Placement::inline(),
        outputs: Box::new(move |output| desk.hear(output)),
        control: Box::new(|_, _, _| {}),
    };
    let started = Party::start(setup).map_err(|error| failed(error.to_string()))?;
    links.open(bound, started.receive());
    Ok(started)
}

/// A process has a socket to each replica; many systems allow few by default and more on demand.
pub(crate) fn allow_sockets() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // If it is refused, opening a socket fails later, and says so.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_counted_where_they_belong() {
        let book = Book::new(1_000_000..3_000_000, 1_000_000);
        book.note(900_000, 1_500_000);
        book.note(1_100_000, 2_600_000);
        book.note(2_500_000, 3_500_000);
        book.waiting.set(2);
        let answers = book.close();
        assert_eq!(answers.slices, [(1, 600), (1, 1_500)]);
        assert_eq!(answers.latencies.iter().map(|(_, count)| count).sum::<u64>(), 2);
        assert_eq!(answers.unanswered, 2);
        let span = 1_000_000..2_500_000;
        assert!((answers.per_second(&span, &span, 1_000_000) - 2e9 / 1.5e6).abs() < 1e-6);
        let late = 2_000_000..2_500_000;
        assert!((answers.per_second(&span, &late, 1_000_000) - 2e3).abs() < 1e-6);
        assert!(answers.per_second(&span, &(0..1), 1_000_000).abs() < 1e-6);
    }
}
