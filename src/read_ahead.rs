//! Decodes units on a pool ahead of the consumer and delivers the results in
//! the order they were planned.
//!
//! Workers finish in any order, but replay needs newest first. So every unit
//! carries its place in the plan, and a result that comes early waits for its
//! turn. The plan is lazy and nothing here ever runs away from the consumer:
//! a unit is submitted only against a credit, and delivering one gives the
//! credit back. This module knows nothing about Delta.
//!
//! What a stream promises:
//!
//! 1. Results come in plan order, whatever order units finish in, unless they
//!    are asked for [as they finish](ReadAhead::unordered).
//! 2. No more than the window, in units and in bytes, is submitted and not yet
//!    delivered. A unit that is larger than the byte budget goes alone.
//! 3. The channel has a place for every unit of the window, so a worker never
//!    waits for the consumer.
//! 4. A unit that starts reports exactly once: a value, an error, a panic as
//!    an error, or cancelled. A unit that never starts stands behind an error.
//! 5. A failure comes in its place, once, and then the end. Nothing behind it
//!    is started any more.
//! 6. A consumer that waits learns of a cancel within one unit's time.
//! 7. Dropping a stream waits for no unit, and those that have not started
//!    never do. Only when it was the last handle to the pool does it wait for
//!    the units that run.
//! 8. The last handle to the pool joins its threads.
//! 9. Decoding begins when the stream is created.
//!
//! A plan may itself come from a stream ([`Source`]): what is not decoded there
//! yet is not waited for while a result of this one is ready, and a consumer
//! that does wait wakes up for both.
//!
//! With no threads the consumer decodes for itself, one unit for each call, and
//! the answers are the same. A consumer that already is a worker of the pool
//! decodes queued units instead of only waiting for them: the worker they wait
//! for may be itself.

use std::collections::VecDeque;
use std::fmt::Display;
use std::io;
use std::iter::FusedIterator;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Poll;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Select, Sender, bounded};

use crate::error::{Error, Result, text_of_panic};
use crate::span::{Label, SpanKind, Spans, Watch};

/// How long a consumer sleeps before it looks at the cancel flag again.
const WAIT_SLICE: Duration = Duration::from_millis(10);

/// The channel's places are allocated at once, so a window has a limit. It is
/// far beyond what can keep a pool busy.
const WINDOW_UNITS_MAX: usize = 4096;

/// A pool of workers, shared by the streams of one engine. It starts no thread
/// before the first unit is submitted; dropping the last handle joins them.
///
/// A decode function must not own a handle: when the last one is dropped on a
/// thread of the pool, nobody can join.
pub(crate) struct Pool {
    threads: usize,
    /// The process that started the threads; 0 before that.
    pid: AtomicU32,
    starting: Mutex<()>,
    workers: OnceLock<Workers>,
    turns: Arc<Turns>,
    spans: Spans,
}

struct Workers {
    rayon: rayon::ThreadPool,
    joins: Vec<JoinHandle<()>>,
}

impl Pool {
    /// A pool of `threads` workers; with 0 every stream decodes on its consumer.
    #[cfg(test)]
    pub(crate) fn new(threads: usize) -> Arc<Pool> {
        Pool::watched(threads, Spans::default())
    }

    /// As `new`; what its workers and consumers are at goes to `spans`.
    pub(crate) fn watched(threads: usize, spans: Spans) -> Arc<Pool> {
        Arc::new(Pool {
            threads,
            pid: AtomicU32::new(0),
            starting: Mutex::new(()),
            workers: OnceLock::new(),
            turns: Arc::default(),
            spans,
        })
    }

    /// How many workers it has, started or not.
    pub(crate) fn threads(&self) -> usize {
        self.threads
    }

    /// The workers, started if they were not. A failed start may be tried again.
    fn workers(&self) -> Result<&Workers> {
        self.check_process()?;
        if let Some(workers) = self.workers.get() {
            return Ok(workers);
        }
        // Before the lock: a child forked while another thread starts the
        // workers must not find the lock taken by a thread it does not have.
        self.pid.store(process::id(), Ordering::Relaxed);
        let _starting = lock(&self.starting);
        if self.workers.get().is_none() {
            let workers = Workers::start(self.threads, spawn_worker)?;
            let _ = self.workers.set(workers);
        }
        self.workers.get().ok_or_else(|| Error::bug("the workers were started and are not there"))
    }

    /// Refuses in a child process: fork copies no thread but the caller's, and
    /// any lock may have been copied while taken.
    fn check_process(&self) -> Result<()> {
        if self.is_forked() {
            return Err(Error::misuse(
                "the engine's threads belong to the parent process: create the engine after fork",
            ));
        }
        Ok(())
    }

    fn is_forked(&self) -> bool {
        let pid = self.pid.load(Ordering::Relaxed);
        pid != 0 && pid != process::id()
    }

    /// Which of the workers this thread is.
    fn worker(&self) -> Option<usize> {
        self.workers.get()?.rayon.current_thread_index()
    }

    /// A watch for what this thread, a worker or a consumer, begins now.
    pub(crate) fn watch(&self, label: impl FnOnce() -> Label) -> Watch {
        self.spans.watch(label, || self.worker())
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let Some(workers) = self.workers.take() else { return };
        if self.is_forked() {
            // Even saying goodbye to rayon takes locks.
            mem::forget((workers, Arc::clone(&self.turns)));
            return;
        }
        let on_own_thread = workers.rayon.current_thread_index().is_some();
        drop(workers.rayon);
        if on_own_thread {
            // rayon ends its threads when its last job is over, and the caller
            // is in such a job: joining any of them would wait for itself. They
            // end on their own.
            return;
        }
        for join in workers.joins {
            let _ = join.join();
        }
    }
}

impl Workers {
    fn start(
        threads: usize,
        mut spawn: impl FnMut(rayon::ThreadBuilder) -> io::Result<JoinHandle<()>>,
    ) -> Result<Workers> {
        let mut joins = Vec::with_capacity(threads);
        let built = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            // Each unit has its own catch. This one is for a destructor that
            // panics when it should not: the default is to abort the host.
            .panic_handler(mem::forget)
            .spawn_handler(|worker| {
                joins.push(spawn(worker)?);
                Ok(())
            })
            .build();
        match built {
            Ok(rayon) => Ok(Workers { rayon, joins }),
            Err(e) => {
                let failed = joins.len() + 1;
                // rayon has told the ones that did start to end.
                for join in joins {
                    let _ = join.join();
                }
                Err(Error::limit(format!("cannot start worker thread {failed} of {threads}: {e}")))
            }
        }
    }
}

fn spawn_worker(worker: rayon::ThreadBuilder) -> io::Result<JoinHandle<()>> {
    let name = format!("delta-engine-{}", worker.index());
    thread::Builder::new().name(name).spawn(|| worker.run())
}

/// Asks a stream to stop, from any thread; touches only an atomic.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Units that have not started never do, and the consumer gets `Cancelled`.
    pub(crate) fn cancel(&self) {
        self.0.store(true, Ordering::Release);
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    /// For a long unit, to look up between two steps.
    ///
    /// # Errors
    /// `Cancelled` when it is.
    pub(crate) fn check(&self) -> Result<()> {
        if self.is_cancelled() { Err(Error::cancelled("the caller cancelled")) } else { Ok(()) }
    }
}

/// How far a stream may run ahead of its consumer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    /// Units that may run at once; 0: the consumer decodes. More than the
    /// pool's threads are as many as those.
    pub(crate) threads: usize,
    /// Units submitted and not yet delivered, from 1 to 4096; a number outside
    /// means the nearest.
    pub(crate) units: usize,
    /// Bytes of those units, as the plan estimates them. One unit is always
    /// allowed.
    pub(crate) bytes: usize,
}

/// What a stream has done so far, for a progress bar. Streams may share one.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    units_planned: AtomicU64,
    units_decoded: AtomicU64,
    window_bytes: AtomicU64,
    window_bytes_peak: AtomicU64,
}

impl Counters {
    /// Units submitted.
    pub(crate) fn units_planned(&self) -> u64 {
        self.units_planned.load(Ordering::Relaxed)
    }

    /// Units decoded without an error.
    pub(crate) fn units_decoded(&self) -> u64 {
        self.units_decoded.load(Ordering::Relaxed)
    }

    /// Bytes, as estimated, of the units submitted and not yet delivered.
    pub(crate) fn window_bytes(&self) -> u64 {
        self.window_bytes.load(Ordering::Relaxed)
    }

    /// The most that [`Counters::window_bytes`] has been.
    pub(crate) fn window_bytes_peak(&self) -> u64 {
        self.window_bytes_peak.load(Ordering::Relaxed)
    }

    fn enter_window(&self, bytes: usize) {
        let bytes = bytes as u64;
        self.units_planned.fetch_add(1, Ordering::Relaxed);
        let now = self.window_bytes.fetch_add(bytes, Ordering::Relaxed).wrapping_add(bytes);
        self.window_bytes_peak.fetch_max(now, Ordering::Relaxed);
    }

    fn leave_window(&self, bytes: usize) {
        self.window_bytes.fetch_sub(bytes as u64, Ordering::Relaxed);
    }

    fn count_decoded(&self) {
        self.units_decoded.fetch_add(1, Ordering::Relaxed);
    }
}

/// One decode unit of a plan.
pub(crate) struct Planned<U> {
    /// What the decode function is given.
    pub(crate) unit: U,
    /// What it is likely to weigh, decoded: its share of the byte budget.
    pub(crate) bytes: usize,
    /// What its span and a panic's error call it: a file, a file and a slice.
    pub(crate) label: Label,
}

/// Where items come from that may not be there yet.
pub(crate) trait Source: Send {
    type Item;

    /// The next item, or `None` at the end; `Pending` if it is not there when
    /// `deadline` has passed, which a call may exceed by one step of work. A
    /// deadline in the past only looks.
    fn next_until(&mut self, deadline: Option<Instant>) -> Poll<Option<Self::Item>>;

    /// Adds to `select` what gets something to receive when an item may have come.
    fn wakes<'a>(&'a self, select: &mut Select<'a>);
}

/// An iterator has its next item whenever it is asked.
struct Ready<I>(I);

impl<I: Iterator + Send> Source for Ready<I> {
    type Item = I::Item;

    fn next_until(&mut self, _: Option<Instant>) -> Poll<Option<I::Item>> {
        Poll::Ready(self.0.next())
    }

    fn wakes<'a>(&'a self, _: &mut Select<'a>) {}
}

/// A plan's units with their decode function.
struct Bound<P, D> {
    plan: P,
    decode: Arc<D>,
}

impl<P, D, U, T> Source for Bound<P, D>
where
    U: Send + 'static,
    P: Source<Item = Result<Planned<U>>>,
    D: Fn(U) -> Result<T> + Send + Sync + 'static,
{
    type Item = Result<Unit<T>>;

    fn next_until(&mut self, deadline: Option<Instant>) -> Poll<Option<Result<Unit<T>>>> {
        self.plan.next_until(deadline).map_ok(|Planned { unit, bytes, label }| {
            let decode = Arc::clone(&self.decode);
            Unit { label, bytes, decode: Box::new(move || decode(unit)) }
        })
    }

    fn wakes<'a>(&'a self, select: &mut Select<'a>) {
        self.plan.wakes(select);
    }
}

/// The results of a plan's units, in plan order, decoded ahead.
///
/// After an error, and after the end, it answers `None` for ever.
pub(crate) struct ReadAhead<T> {
    pool: Arc<Pool>,
    limit: Window,
    /// Whether a result waits for those of the units planned before it.
    in_order: bool,
    cancel: Cancel,
    counters: Arc<Counters>,
    /// Of the unit that was delivered last.
    label: Option<Label>,
    /// `None` after the end.
    live: Option<Live<T>>,
}

/// What the consumer's side holds until the end.
struct Live<T> {
    plan: Option<Plan<T>>,
    /// Pulled from the plan, and too large for what the window has left.
    aside: Option<Unit<T>>,
    /// One slot for each unit in flight, in plan order.
    window: VecDeque<Slot<T>>,
    window_bytes: usize,
    /// How many units were submitted: the next one's place in the plan.
    submitted: u64,
    /// `None`: the consumer decodes for itself.
    lane: Option<LaneEnd<T>>,
}

type Plan<T> = Box<dyn Source<Item = Result<Unit<T>>>>;
type LaneEnd<T> = (Arc<Lane<T>>, Receiver<Report<T>>);
type Report<T> = (u64, Result<T>);

/// A unit with its decode function, so that only the result's type is left.
struct Unit<T> {
    label: Label,
    bytes: usize,
    decode: Box<dyn FnOnce() -> Result<T> + Send>,
}

struct Slot<T> {
    place: u64,
    label: Label,
    bytes: usize,
    result: Option<Result<T>>,
}

/// What became of waiting for a result.
enum Waited {
    /// The slot at this place of the window has its result.
    Answered(usize),
    Ended,
    TimedOut,
    Failed(Error),
}

impl<T: Send + 'static> ReadAhead<T> {
    /// Starts decoding what `plan` yields. The plan is pulled here and when
    /// [`ReadAhead::next`] delivers, on the thread that calls, as far as the
    /// window allows; without threads it is pulled one unit for each call.
    ///
    /// `decode` must not use rayon's own parallelism: a worker that waits inside
    /// rayon may take up another unit on top of the one it is in.
    ///
    /// It cannot fail: what goes wrong comes out of the iterator.
    pub(crate) fn new<U, P, D>(
        pool: &Arc<Pool>,
        window: Window,
        cancel: Cancel,
        counters: Arc<Counters>,
        plan: P,
        decode: D,
    ) -> ReadAhead<T>
    where
        U: Send + 'static,
        P: Iterator<Item = Result<Planned<U>>> + Send + 'static,
        D: Fn(U) -> Result<T> + Send + Sync + 'static,
    {
        ReadAhead::of(pool, window, cancel, counters, Ready(plan), decode)
    }

    /// As `new`, of a plan that may not have its next unit yet: it is asked as far
    /// as it goes without waiting.
    pub(crate) fn of<U, P, D>(
        pool: &Arc<Pool>,
        window: Window,
        cancel: Cancel,
        counters: Arc<Counters>,
        plan: P,
        decode: D,
    ) -> ReadAhead<T>
    where
        U: Send + 'static,
        P: Source<Item = Result<Planned<U>>> + 'static,
        D: Fn(U) -> Result<T> + Send + Sync + 'static,
    {
        let limit = Window {
            threads: window.threads.min(pool.threads),
            units: window.units.clamp(1, WINDOW_UNITS_MAX),
            bytes: window.bytes,
        };
        let lane = (limit.threads > 0).then(|| {
            let (sender, receiver) = bounded(limit.units);
            let lane = Lane {
                threads: limit.threads,
                state: Mutex::new(LaneState::default()),
                reports: sender,
                cancel: cancel.clone(),
                counters: Arc::clone(&counters),
                turns: Arc::clone(&pool.turns),
                spans: pool.spans.clone(),
            };
            (Arc::new(lane), receiver)
        });
        let live = Live {
            plan: Some(Box::new(Bound { plan, decode: Arc::new(decode) })),
            aside: None,
            window: VecDeque::new(),
            window_bytes: 0,
            submitted: 0,
            lane,
        };
        let pool = Arc::clone(pool);
        let live = Some(live);
        let mut stream =
            ReadAhead { pool, limit, in_order: true, cancel, counters, label: None, live };
        stream.refill();
        stream
    }

    /// The stream with its results as their units finish, in whatever order.
    pub(crate) fn unordered(mut self) -> Self {
        self.in_order = false;
        self
    }

    /// A watch for what is now done, on this thread, with what was delivered
    /// last.
    pub(crate) fn watch(&self, kind: SpanKind) -> Watch {
        match &self.label {
            Some(label) => self.pool.watch(|| label.turned_to(kind)),
            None => Watch::default(),
        }
    }

    /// Without workers: pulls one unit and decodes it here.
    fn decode_next(&mut self, deadline: Option<Instant>) -> Poll<Option<Result<T>>> {
        if let Err(e) = self.cancel.check() {
            return Poll::Ready(Some(Err(e)));
        }
        let Some(live) = &mut self.live else { return Poll::Ready(None) };
        let unit = match live.pull(deadline) {
            Poll::Ready(Some(Ok(unit))) => unit,
            Poll::Ready(Some(Err(e))) => return Poll::Ready(Some(Err(e))),
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Pending => return Poll::Pending,
        };
        let bytes = unit.bytes;
        self.label = Some(unit.label.clone());
        self.counters.enter_window(bytes);
        let result = unit.decode(&self.cancel, &self.pool.spans, || self.pool.worker());
        self.counters.leave_window(bytes);
        if result.is_ok() {
            self.counters.count_decoded();
        }
        // The consumer was as good as blocked meanwhile.
        Poll::Ready(Some(result.and_then(|value| self.cancel.check().map(|()| value))))
    }

    /// Waits until there is a result to deliver, and pulls the plan meanwhile.
    fn wait(&mut self, deadline: Option<Instant>) -> Waited {
        let lane = self.live.as_ref().and_then(|live| live.lane.clone());
        let Some((lane, reports)) = lane else { return Waited::Ended };
        let is_worker = self.pool.worker().is_some();
        let mut is_first_look = true;
        let mut watch = Watch::default();
        loop {
            if let Err(e) = self.cancel.check() {
                return Waited::Failed(e);
            }
            self.refill();
            let Some(live) = &mut self.live else { return Waited::Ended };
            live.collect(reports.try_iter());
            if let Some(at) = live.answered(self.in_order) {
                return Waited::Answered(at);
            }
            if live.is_at_end() {
                return Waited::Ended;
            }
            let mut slice = WAIT_SLICE;
            if let Some(deadline) = deadline {
                slice = slice.min(deadline.saturating_duration_since(Instant::now()));
                // Not at the first look: on a worker, a host that polls with a
                // deadline of now would never get any further.
                if slice.is_zero() && !is_first_look {
                    return Waited::TimedOut;
                }
            }
            is_first_look = false;
            // Units of this stream only: what this worker does not find queued
            // runs on another thread, so waiting for it is waiting for work. The
            // plan, when it was pulled, has done the same.
            if is_worker {
                watch.stop();
                if lane.decode_one() {
                    continue;
                }
            }
            if let Some(front) = live.window.front().filter(|_| !watch.is_running()) {
                watch = self.pool.watch(|| front.label.turned_to(SpanKind::Wait));
            }
            // In slices, because cancelling touches only an atomic.
            let mut select = Select::new();
            live.wakes(&mut select, self.limit.units);
            if select.ready_timeout(slice).is_err() && !live.window.is_empty() && lane.is_idle() {
                // A unit reports before its lane goes idle, so what is not here
                // now never comes. That is a defect; say it, for the alternative
                // is to wait for ever.
                live.collect(reports.try_iter());
                if live.answered(self.in_order).is_none() {
                    return Waited::Failed(live.lost_unit());
                }
            }
        }
    }

    /// Takes a result out of the window and gives its credit to the plan's next
    /// units.
    fn deliver(&mut self, at: usize) -> Option<Result<T>> {
        let live = self.live.as_mut()?;
        let slot = live.window.remove(at)?;
        live.window_bytes -= slot.bytes;
        self.counters.leave_window(slot.bytes);
        if let Some(Ok(_)) = slot.result {
            self.refill();
        }
        self.label = Some(slot.label);
        slot.result
    }

    /// Submits what the window has room for and the plan has ready.
    fn refill(&mut self) {
        let Some(live) = &mut self.live else { return };
        let Some((lane, _)) = live.lane.clone() else { return };
        let now = Instant::now();
        while live.window.len() < self.limit.units && !self.cancel.is_cancelled() {
            let submitted = match live.pull(Some(now)) {
                Poll::Pending | Poll::Ready(None) => return,
                Poll::Ready(Some(Ok(unit))) if !live.has_room(unit.bytes, self.limit.bytes) => {
                    live.aside = Some(unit);
                    return;
                }
                Poll::Ready(Some(unit)) => unit.and_then(|unit| Ok((self.pool.workers()?, unit))),
            };
            let place = live.submitted;
            live.submitted += 1;
            match submitted {
                Ok((workers, unit)) => {
                    let (label, bytes) = (unit.label.clone(), unit.bytes);
                    // Before the unit can finish, so that its result finds its slot.
                    live.window.push_back(Slot { place, label, bytes, result: None });
                    live.window_bytes += bytes;
                    self.counters.enter_window(bytes);
                    if !lane.submit(place, unit, workers) {
                        drop_contained(live.plan.take());
                    }
                }
                Err(e) => {
                    drop_contained(live.plan.take());
                    let label = Label::new(SpanKind::Open, "the plan");
                    live.window.push_back(Slot { place, label, bytes: 0, result: Some(Err(e)) });
                }
            }
        }
    }
}

impl<T> ReadAhead<T> {
    /// Ends the stream: nothing that is queued starts, nothing that runs is
    /// waited for.
    fn stop(&mut self) {
        let Some(live) = self.live.take() else { return };
        if self.pool.is_forked() {
            // A worker of the parent may have held any lock of the channel.
            mem::forget(live);
            return;
        }
        self.counters.leave_window(live.window_bytes);
        if let Some((lane, _)) = &live.lane {
            lane.close();
        }
        drop_contained(live);
    }
}

impl<T: Send + 'static> Source for ReadAhead<T> {
    type Item = Result<T>;

    /// After `Pending` the stream is as it was, and may be asked again.
    ///
    /// A deadline interrupts waiting, not work: where this thread decodes for
    /// itself, or pulls the plan, one step is always made and may take longer.
    fn next_until(&mut self, deadline: Option<Instant>) -> Poll<Option<Result<T>>> {
        let Some(live) = &self.live else { return Poll::Ready(None) };
        let is_inline = live.lane.is_none();
        let next = if let Err(e) = self.pool.check_process() {
            Poll::Ready(Some(Err(e)))
        } else if is_inline {
            self.decode_next(deadline)
        } else {
            match self.wait(deadline) {
                Waited::Answered(at) => Poll::Ready(self.deliver(at)),
                Waited::Ended => Poll::Ready(None),
                Waited::Failed(e) => Poll::Ready(Some(Err(e))),
                Waited::TimedOut => Poll::Pending,
            }
        };
        if matches!(next, Poll::Ready(None | Some(Err(_)))) {
            self.stop();
        }
        next
    }

    fn wakes<'a>(&'a self, select: &mut Select<'a>) {
        if let Some(live) = &self.live {
            live.wakes(select, self.limit.units);
        }
    }
}

impl<T: Send + 'static> Iterator for ReadAhead<T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Result<T>> {
        match self.next_until(None) {
            Poll::Ready(next) => next,
            Poll::Pending => Some(Err(Error::bug("a wait without a deadline timed out"))),
        }
    }
}

impl<T: Send + 'static> FusedIterator for ReadAhead<T> {}

impl<T> Drop for ReadAhead<T> {
    fn drop(&mut self) {
        self.stop();
    }
}

impl<T> Live<T> {
    /// The plan's next unit. After an error or a panic the plan is not asked again.
    fn pull(&mut self, deadline: Option<Instant>) -> Poll<Option<Result<Unit<T>>>> {
        if let Some(unit) = self.aside.take() {
            return Poll::Ready(Some(Ok(unit)));
        }
        let Some(plan) = &mut self.plan else { return Poll::Ready(None) };
        let next = contain(&"planning what to decode", || Ok(plan.next_until(deadline)))
            .unwrap_or_else(|e| Poll::Ready(Some(Err(e))));
        if matches!(next, Poll::Ready(None | Some(Err(_)))) {
            // What broke once may break again while it is taken apart.
            drop_contained(self.plan.take());
        }
        next
    }

    fn wakes<'a>(&'a self, select: &mut Select<'a>, units_max: usize) {
        if let Some((_, reports)) = &self.lane {
            select.recv(reports);
        }
        // What the window has no room for is not waited for: it would stay ready.
        let has_room = self.aside.is_none() && self.window.len() < units_max;
        if let Some(plan) = self.plan.as_ref().filter(|_| has_room) {
            plan.wakes(select);
        }
    }

    fn has_room(&self, bytes: usize, bytes_max: usize) -> bool {
        self.window.is_empty()
            || self.window_bytes.checked_add(bytes).is_some_and(|sum| sum <= bytes_max)
    }

    /// Puts each result where its turn will find it.
    fn collect(&mut self, reports: impl IntoIterator<Item = Report<T>>) {
        for (place, result) in reports {
            if let Ok(at) = self.window.binary_search_by_key(&place, |slot| slot.place) {
                self.window[at].result = Some(result);
            }
        }
    }

    /// The slot whose result may be delivered.
    fn answered(&self, in_order: bool) -> Option<usize> {
        let may = if in_order { self.window.len().min(1) } else { self.window.len() };
        self.window.iter().take(may).position(|slot| slot.result.is_some())
    }

    /// Whether nothing is left to wait for.
    fn is_at_end(&self) -> bool {
        self.window.is_empty() && self.aside.is_none() && self.plan.is_none()
    }

    fn lost_unit(&self) -> Error {
        let label = self.window.front().map_or_else(String::new, |slot| slot.label.to_string());
        Error::bug(format!("{label} was submitted and never reported"))
    }
}

impl<T> Unit<T> {
    /// Decodes it on this thread, which is `worker`.
    fn decode(
        self,
        cancel: &Cancel,
        spans: &Spans,
        worker: impl FnOnce() -> Option<usize>,
    ) -> Result<T> {
        let Unit { label, decode, .. } = self;
        // Out here, so that it is not dropped while a panic unwinds.
        let mut watch = Watch::default();
        contain(&label, || {
            cancel.check()?;
            watch = spans.watch(|| label.clone(), worker);
            decode()
        })
    }
}

/// A stream's side of the pool: the units queued, first planned first out, and
/// the number of them that run.
///
/// No more than `threads` run at once, though the pool may be larger. A lane
/// asks the pool for turns; a turn decodes one unit, and then the lane queues
/// for the next, so that the streams of a pool share it evenly.
///
/// No queued unit is forgotten, because whenever the lock is free
/// `turns_asked >= min(queue.len(), threads - running)`:
/// submitting raises the right side by one at most and asks for a turn if it
/// was equal; so does the end of a unit. Starting a unit lowers the right side
/// by one, and a turn that is used up lowers the left side by one. A turn that
/// finds `running == threads`, or no unit, finds the right side at zero.
struct Lane<T> {
    threads: usize,
    state: Mutex<LaneState<T>>,
    reports: Sender<Report<T>>,
    cancel: Cancel,
    counters: Arc<Counters>,
    turns: Arc<Turns>,
    spans: Spans,
}

struct LaneState<T> {
    queue: VecDeque<(u64, Unit<T>)>,
    turns_asked: usize,
    running: usize,
    /// A unit failed, or the consumer has gone: nothing is queued any more.
    is_closed: bool,
}

impl<T> Default for LaneState<T> {
    fn default() -> Self {
        LaneState { queue: VecDeque::new(), turns_asked: 0, running: 0, is_closed: false }
    }
}

impl<T: Send + 'static> Lane<T> {
    /// Queues a unit. Its place in the channel is reserved: the window's limit
    /// in units is the channel's capacity. Answers false when an earlier unit
    /// has failed, so that this one would never be waited for.
    fn submit(self: &Arc<Self>, place: u64, unit: Unit<T>, workers: &Workers) -> bool {
        let mut state = lock(&self.state);
        if state.is_closed {
            return false;
        }
        state.queue.push_back((place, unit));
        let asks = state.asks_for_turn(self.threads);
        drop(state);
        if asks {
            workers.rayon.spawn_fifo(self.turn());
        }
        true
    }

    /// Decodes the next queued unit on this thread, a worker of the pool.
    /// Answers false when none may start.
    fn decode_one(self: &Arc<Self>) -> bool {
        let next = lock(&self.state).start(self.threads);
        self.decode(next)
    }

    fn decode(self: &Arc<Self>, next: Option<(u64, Unit<T>)>) -> bool {
        let Some((place, unit)) = next else { return false };
        // Only this pool's workers come here, so rayon's index is among them.
        let result = unit.decode(&self.cancel, &self.spans, rayon::current_thread_index);
        if result.is_ok() {
            self.counters.count_decoded();
        } else {
            // First planned, first started: whatever is still queued stands
            // behind the failed unit, and whatever stands before it reports.
            self.close();
        }
        // The place is reserved, so the channel is never full. If it were, the
        // consumer would miss the report and say so. Without a consumer the
        // value has nowhere to go.
        if let Err(e) = self.reports.try_send((place, result)) {
            drop_contained(e);
        }

        // After the report, for `is_idle` must mean that all are sent.
        let mut state = lock(&self.state);
        state.running -= 1;
        let asks = state.asks_for_turn(self.threads);
        drop(state);
        if asks {
            rayon::spawn_fifo(self.turn());
        }
        true
    }

    /// Queues for a turn; the answer is the job that must be spawned for it.
    fn turn(self: &Arc<Self>) -> impl FnOnce() + Send + use<T> {
        let turns = Arc::clone(&self.turns);
        lock(&turns.0).push_back(Arc::clone(self) as Arc<dyn Turn>);
        move || turns.take_next()
    }
}

impl<T> Lane<T> {
    /// Nothing that is queued starts any more.
    fn close(&self) {
        let mut state = lock(&self.state);
        state.is_closed = true;
        let queue = mem::take(&mut state.queue);
        drop(state);
        drop_contained(queue);
    }

    fn is_idle(&self) -> bool {
        let state = lock(&self.state);
        state.queue.is_empty() && state.running == 0
    }
}

impl<T> LaneState<T> {
    fn asks_for_turn(&mut self, threads: usize) -> bool {
        let asks = self.turns_asked < self.queue.len().min(threads - self.running);
        self.turns_asked += usize::from(asks);
        asks
    }

    fn start(&mut self, threads: usize) -> Option<(u64, Unit<T>)> {
        if self.running == threads {
            return None;
        }
        let next = self.queue.pop_front()?;
        self.running += 1;
        Some(next)
    }
}

/// The lanes that wait for a worker, first come first served. No more than the
/// threads of each stream, together.
///
/// rayon alone would not be fair: a worker takes the jobs that its own jobs
/// spawned before any that came from outside, so one busy stream could keep a
/// new one out for ever. So a job does not say whose turn it is; it takes
/// whoever is first here. There is one job for each entry.
#[derive(Default)]
struct Turns(Mutex<VecDeque<Arc<dyn Turn>>>);

impl Turns {
    fn take_next(&self) {
        // Its own statement: the lock must not be held during the turn.
        let next = lock(&self.0).pop_front();
        if let Some(lane) = next {
            lane.take_turn();
        }
    }
}

trait Turn: Send + Sync {
    fn take_turn(self: Arc<Self>);
}

impl<T: Send + 'static> Turn for Lane<T> {
    fn take_turn(self: Arc<Self>) {
        let next = {
            let mut state = lock(&self.state);
            state.turns_asked -= 1;
            state.start(self.threads)
        };
        self.decode(next);
    }
}

/// Runs `work`; its panic becomes an error that says what was being done.
fn contain<R>(doing: &dyn Display, work: impl FnOnce() -> Result<R>) -> Result<R> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|payload| {
        let error = Error::bug(format!("{doing}: panicked: {}", text_of_panic(&*payload)));
        drop_contained(payload);
        Err(error)
    })
}

/// Drops what others gave: a plan, a unit, a result, a panic's payload. A
/// destructor that panics must cost neither a worker nor the host.
fn drop_contained<V>(value: V) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(value))) {
        mem::forget(payload);
    }
}

/// Nothing that can panic runs under a lock here, so a poisoned one is whole.
fn lock<S>(mutex: &Mutex<S>) -> MutexGuard<'_, S> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::panic::resume_unwind;
    use std::sync::Barrier;
    use std::sync::atomic::AtomicUsize;

    use crossbeam_channel::unbounded;

    use super::*;
    use crate::error::ErrorKind;

    const WINDOW: Window = Window { threads: 2, units: 4, bytes: usize::MAX };

    /// Units that weigh 10 each.
    fn plan(numbers: std::ops::Range<u64>) -> impl Iterator<Item = Result<Planned<u64>>> + Send {
        numbers.map(|n| Ok(planned(n, 10)))
    }

    fn planned(unit: u64, bytes: usize) -> Planned<u64> {
        Planned { unit, bytes, label: Label::new(SpanKind::Decode, format!("unit {unit}")) }
    }

    fn read_ahead<T: Send + 'static>(
        pool: &Arc<Pool>,
        window: Window,
        plan: impl Iterator<Item = Result<Planned<u64>>> + Send + 'static,
        decode: impl Fn(u64) -> Result<T> + Send + Sync + 'static,
    ) -> ReadAhead<T> {
        ReadAhead::new(pool, window, Cancel::default(), Arc::default(), plan, decode)
    }

    /// What a stream said, with its errors as text, and that it then says no more.
    fn answers<T: Send + 'static>(mut stream: ReadAhead<T>) -> Vec<Result<T, String>> {
        let said: Vec<_> = stream.by_ref().map(|r| r.map_err(|e| e.to_string())).collect();
        assert!(stream.next().is_none(), "something came after the end");
        said
    }

    fn values(stream: ReadAhead<u64>) -> Vec<u64> {
        stream.map(|r| r.unwrap()).collect()
    }

    /// A panic that writes nothing to the test's output.
    fn panic_with(text: &str) -> ! {
        resume_unwind(Box::new(text.to_owned()))
    }

    /// Runs `body` on its own thread and fails when it hangs.
    fn within_a_minute<R: Send + 'static>(body: impl FnOnce() -> R + Send + 'static) -> R {
        let (sender, receiver) = bounded(1);
        thread::spawn(move || sender.send(body()));
        receiver.recv_timeout(Duration::from_secs(60)).expect("hung, or panicked")
    }

    /// Decoding that stops at a gate: says when a unit has started, and goes on
    /// when it is let.
    struct Gate {
        started: Receiver<u64>,
        go: Sender<()>,
    }

    fn gate() -> (Gate, impl Fn(u64) -> Result<u64> + Send + Sync + Clone + 'static) {
        let (has_started, started) = unbounded();
        let (go, may_go) = unbounded::<()>();
        let decode = move |n| {
            let _ = has_started.send(n);
            let _ = may_go.recv();
            Ok(n)
        };
        (Gate { started, go }, decode)
    }

    /// Counts the threads that a pool has alive: each thread that was shown to
    /// it and has not ended.
    #[derive(Clone, Default)]
    struct ThreadsAlive(Arc<()>);

    thread_local! {
        static HELD: RefCell<Vec<Arc<()>>> = const { RefCell::new(Vec::new()) };
    }

    impl ThreadsAlive {
        fn show_this_thread(&self) {
            HELD.with_borrow_mut(|held| {
                if !held.iter().any(|one| Arc::ptr_eq(one, &self.0)) {
                    held.push(Arc::clone(&self.0));
                }
            });
        }

        /// `watchers`: the clones of this value that the test itself has.
        fn count(&self, watchers: usize) -> usize {
            Arc::strong_count(&self.0) - watchers
        }
    }

    // 1. Order.

    #[test]
    fn results_come_in_plan_order_though_units_finish_backwards() {
        let pool = Pool::new(4);
        // Unit n of each four waits until unit n + 1 is through.
        let links: Vec<_> = (0..5).map(|_| unbounded::<()>()).collect();
        let window = Window { threads: 4, ..WINDOW };
        let finished = Arc::new(Mutex::new(Vec::new()));
        let order = Arc::clone(&finished);
        let stream = read_ahead(&pool, window, plan(0..4), move |n| {
            let i = n as usize;
            if i < 3 {
                links[i + 1].1.recv().unwrap();
            }
            lock(&order).push(n);
            links[i].0.send(()).unwrap();
            Ok(n)
        });

        assert_eq!(values(stream), [0, 1, 2, 3]);
        assert_eq!(*lock(&finished), [3, 2, 1, 0]);
    }

    // 2. The window.

    #[test]
    fn no_more_units_than_the_window_are_pulled_and_not_delivered() {
        let pool = Pool::new(2);
        let pulled = Arc::new(AtomicUsize::new(0));
        let pulls = Arc::clone(&pulled);
        let plan = plan(0..100).inspect(move |_| {
            pulls.fetch_add(1, Ordering::SeqCst);
        });
        let mut stream = read_ahead(&pool, Window { units: 3, ..WINDOW }, plan, Ok);

        assert_eq!(pulled.load(Ordering::SeqCst), 3);
        for delivered in 1..=97 {
            stream.next().unwrap().unwrap();
            assert_eq!(pulled.load(Ordering::SeqCst), 3 + delivered);
        }
        assert_eq!(stream.count(), 3);
    }

    #[test]
    fn the_byte_budget_bounds_the_window_and_lets_a_larger_unit_go_alone() {
        let weights = [10, 10, 10, 10, 500, 10, 31, 30, 30, 0, 0, 0, 0, 0];
        let pool = Pool::new(2);
        let counters = Arc::new(Counters::default());
        let window = Window { threads: 2, units: 5, bytes: 35 };
        let plan = weights.into_iter().zip(0..).map(|(bytes, n)| Ok(planned(n, bytes)));
        let mut stream =
            ReadAhead::new(&pool, window, Cancel::default(), Arc::clone(&counters), plan, Ok);

        assert_eq!(counters.window_bytes(), 30, "three of ten and the fourth is held aside");
        assert_eq!(counters.units_planned(), 3);
        for n in 0..weights.len() as u64 {
            assert_eq!(stream.next().unwrap().unwrap(), n);
            let now = counters.window_bytes();
            assert!(now <= 35 || now == 500, "{now} bytes in flight");
        }
        assert!(stream.next().is_none());
        assert_eq!(counters.window_bytes_peak(), 500);
        assert_eq!(counters.window_bytes(), 0);
        assert_eq!(counters.units_planned(), 14);
        assert_eq!(counters.units_decoded(), 14);
    }

    #[test]
    fn a_window_without_sense_is_the_nearest_one_that_has_some() {
        let pool = Pool::new(1);
        for (units, bytes) in [(0, 0), (usize::MAX, usize::MAX)] {
            let window = Window { threads: usize::MAX, units, bytes };
            assert_eq!(values(read_ahead(&pool, window, plan(0..9), Ok)), Vec::from_iter(0..9));
        }
        let heavy = [planned(0, usize::MAX), planned(1, usize::MAX)].map(Ok);
        assert_eq!(values(read_ahead(&pool, WINDOW, heavy.into_iter(), Ok)), [0, 1]);
    }

    // 3. Workers do not wait.

    #[test]
    fn a_consumer_that_sleeps_keeps_no_worker_from_other_streams() {
        let pool = Pool::new(1);
        let sleeping = read_ahead(&pool, WINDOW, plan(0..100), Ok);
        assert_eq!(values(read_ahead(&pool, WINDOW, plan(0..50), Ok)), Vec::from_iter(0..50));
        assert_eq!(values(sleeping), Vec::from_iter(0..100));
    }

    #[test]
    fn no_more_units_run_at_once_than_the_stream_may_though_the_pool_is_larger() {
        let pool = Pool::new(4);
        let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (now, peak) = (Arc::clone(&running), Arc::clone(&most));
        // Two must be able to run at once, so each waits for another.
        let pairs = Arc::new(Barrier::new(2));
        let stream = read_ahead(&pool, Window { units: 16, ..WINDOW }, plan(0..200), move |n| {
            peak.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            pairs.wait();
            now.fetch_sub(1, Ordering::SeqCst);
            Ok(n)
        });

        assert_eq!(values(stream).len(), 200);
        assert_eq!(most.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn a_busy_stream_shares_its_worker_with_a_new_one_evenly() {
        let pool = Pool::new(1);
        let window = Window { threads: 1, units: 10, bytes: usize::MAX };
        let starts = Arc::new(Mutex::new(Vec::new()));
        let (busy_starts, new_starts) = (Arc::clone(&starts), Arc::clone(&starts));
        // The first unit holds the only worker until both streams are queued.
        let (Gate { started, go }, decode) = gate();
        let busy = read_ahead(&pool, window, plan(0..10), move |n| {
            lock(&busy_starts).push(n);
            if n == 0 { decode(n) } else { Ok(n) }
        });
        started.recv().unwrap();
        let new = read_ahead(&pool, window, plan(100..103), move |n| {
            lock(&new_starts).push(n);
            Ok(n)
        });
        go.send(()).unwrap();

        assert_eq!((values(new).len(), values(busy).len()), (3, 10));
        assert_eq!(lock(&starts)[..7], [0, 100, 1, 101, 2, 102, 3]);
    }

    #[test]
    fn an_endless_stream_keeps_no_other_out() {
        within_a_minute(|| {
            let pool = Pool::new(1);
            let cancel = Cancel::default();
            let endless = ReadAhead::new(
                &pool,
                WINDOW,
                cancel.clone(),
                Arc::default(),
                plan(0..u64::MAX),
                Ok,
            );
            let busy = thread::spawn(|| endless.take_while(|r| r.is_ok()).count());
            for _ in 0..20 {
                assert_eq!(values(read_ahead(&pool, WINDOW, plan(0..5), Ok)), [0, 1, 2, 3, 4]);
            }
            cancel.cancel();
            busy.join().unwrap();
        });
    }

    // 4. Every unit reports once.

    #[test]
    fn twenty_thousand_small_units_are_neither_lost_nor_doubled() {
        within_a_minute(|| {
            for (threads, units) in [(1, 1), (2, 1), (1, 64), (2, 3), (4, 2), (4, 64), (8, 8)] {
                let pool = Pool::new(threads);
                let window = Window { threads, units, bytes: usize::MAX };
                let counters = Arc::new(Counters::default());
                let stream = ReadAhead::new(
                    &pool,
                    window,
                    Cancel::default(),
                    Arc::clone(&counters),
                    plan(0..20_000),
                    Ok,
                );
                assert!(values(stream).into_iter().eq(0..20_000));
                assert_eq!(counters.units_decoded(), 20_000);
            }
        });
    }

    #[test]
    fn many_streams_share_a_pool_and_each_is_whole() {
        within_a_minute(|| {
            let pool = Pool::new(3);
            let streams = (0..6).map(|i| {
                let pool = Arc::clone(&pool);
                thread::spawn(move || {
                    let window = Window { threads: 1 + i % 3, units: 1 + i, bytes: 35 };
                    assert!(
                        values(read_ahead(&pool, window, plan(0..3_000), Ok))
                            .into_iter()
                            .eq(0..3_000)
                    );
                })
            });
            for stream in streams.collect::<Vec<_>>() {
                stream.join().unwrap();
            }
        });
    }

    #[test]
    fn a_unit_that_got_lost_is_an_error_and_not_a_hang() {
        let pool = Pool::new(1);
        let (Gate { started, go }, decode) = gate();
        let mut stream = read_ahead(&pool, WINDOW, plan(0..9), decode);
        started.recv().unwrap();
        stream.live.as_ref().unwrap().lane.as_ref().unwrap().0.close();
        go.send(()).unwrap();

        let said = within_a_minute(move || (stream.next().unwrap(), stream.next().unwrap()));
        assert_eq!(said.0.unwrap(), 0);
        assert_eq!(said.1.unwrap_err().message(), "unit 1 was submitted and never reported");
    }

    // 5. Failures.

    /// A plan and a decode function that fail at one place in one way.
    fn failing(
        way: &'static str,
        at: u64,
    ) -> (
        impl Iterator<Item = Result<Planned<u64>>> + Send,
        impl Fn(u64) -> Result<u64> + Send + Sync,
    ) {
        let plan = (0..30).map(move |n| match way {
            "the plan fails" if n == at => Err(Error::storage(format!("no listing at {n}"))),
            "the plan panics" if n == at => panic_with("the plan broke"),
            _ => Ok(planned(n, 1 + (n as usize * 7) % 20)),
        });
        let decode = move |n| match way {
            "a unit fails" if n >= at => Err(Error::corrupt(format!("unit {n} is corrupt"))),
            "a unit panics" if n >= at => panic_with("the unit broke"),
            _ => Ok(n * 3),
        };
        (plan, decode)
    }

    #[test]
    fn every_number_of_threads_and_every_window_says_what_the_serial_run_says() {
        within_a_minute(|| {
            let ways = [
                "all is well",
                "a unit fails",
                "a unit panics",
                "the plan fails",
                "the plan panics",
            ];
            let serial = Pool::new(0);
            let pools: Vec<_> = (0..4).map(Pool::new).collect();
            for way in ways {
                for at in [0, 1, 13, 29] {
                    let (plan, decode) = failing(way, at);
                    let oracle = answers(read_ahead(&serial, WINDOW, plan, decode));
                    let is_well = way == "all is well";
                    assert_eq!(oracle.len() as u64, if is_well { 30 } else { at + 1 });
                    assert_eq!(oracle.iter().all(Result::is_ok), is_well);
                    for pool in &pools {
                        for threads in 0..4 {
                            for units in [1, 2, 3, 50] {
                                for bytes in [0, 25, usize::MAX] {
                                    let window = Window { threads, units, bytes };
                                    let (plan, decode) = failing(way, at);
                                    let stream = read_ahead(pool, window, plan, decode);
                                    assert_eq!(
                                        answers(stream),
                                        oracle,
                                        "{way} at {at}, {} workers, {window:?}",
                                        pool.threads()
                                    );
                                }
                            }
                        }
                    }
                }
            }
        });
    }

    #[test]
    fn a_panic_becomes_an_error_that_names_the_unit_and_the_message() {
        for threads in [0, 1] {
            let pool = Pool::new(threads);
            let window = Window { threads, ..WINDOW };
            let mut stream: ReadAhead<u64> =
                read_ahead(&pool, window, plan(7..9), |n| panic!("found {n}\x1b[2J"));

            let error = stream.next().unwrap().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Bug);
            assert_eq!(error.message(), "unit 7: panicked: found 7\\u{1b}[2J");
            assert!(stream.next().is_none());
            assert_eq!(values(read_ahead(&pool, window, plan(0..9), Ok)).len(), 9, "others go on");
        }
    }

    #[test]
    fn nothing_behind_a_failed_unit_starts_and_the_plan_is_pulled_no_further() {
        let pool = Pool::new(1);
        let window = Window { threads: 1, units: 8, bytes: usize::MAX };
        let (pulled, started) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (pulls, starts) = (Arc::clone(&pulled), Arc::clone(&started));
        let plan = plan(0..100).inspect(move |_| {
            pulls.fetch_add(1, Ordering::SeqCst);
        });
        // The first unit holds the only worker until all eight are queued.
        let (go, may_go) = bounded::<()>(1);
        let mut stream = read_ahead(&pool, window, plan, move |n| {
            starts.fetch_add(1, Ordering::SeqCst);
            if n == 0 {
                may_go.recv().unwrap();
            }
            if n == 2 { Err(Error::corrupt("broken")) } else { Ok(n) }
        });
        go.send(()).unwrap();
        // One worker: when others get their turn, units 0 to 2 are over.
        assert_eq!(values(read_ahead(&pool, WINDOW, self::plan(0..9), Ok)).len(), 9);

        assert_eq!(stream.next().unwrap().unwrap(), 0);
        assert_eq!(stream.next().unwrap().unwrap(), 1);
        assert_eq!(stream.next().unwrap().unwrap_err().message(), "broken");
        assert!(stream.next().is_none());
        drop(stream);
        drop(pool);
        assert_eq!(started.load(Ordering::SeqCst), 3);
        assert!(pulled.load(Ordering::SeqCst) <= 9);
    }

    #[test]
    fn a_destructor_that_panics_costs_no_worker() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic_with("boom");
            }
        }
        let pool = Pool::new(1);
        let (Gate { started, go }, decode) = gate();
        let stream = read_ahead(&pool, WINDOW, plan(0..1), move |n| decode(n).map(|_| Bomb));
        started.recv().unwrap();
        drop(stream);
        go.send(()).unwrap();

        let with_bombs = read_ahead(&pool, WINDOW, plan(0..9), |_| -> Result<u64> {
            std::panic::panic_any(Bomb)
        });
        assert_eq!(answers(with_bombs), [Err("bug: unit 0: panicked: no message".to_owned())]);
        assert_eq!(values(read_ahead(&pool, WINDOW, plan(0..9), Ok)).len(), 9);
    }

    // 6. Cancel and deadlines.

    #[test]
    fn cancel_wakes_a_blocked_consumer_while_its_unit_still_runs() {
        let pool = Pool::new(1);
        let (Gate { started, go }, decode) = gate();
        let (cancel, counters) = (Cancel::default(), Arc::new(Counters::default()));
        let mut stream = ReadAhead::new(
            &pool,
            WINDOW,
            cancel.clone(),
            Arc::clone(&counters),
            plan(0..9),
            decode,
        );
        started.recv().unwrap();
        let consumer = thread::spawn(move || (stream.next(), stream.next().is_none()));
        cancel.cancel();

        let (answer, ended) = within_a_minute(|| consumer.join().unwrap());
        assert_eq!(answer.unwrap().unwrap_err().kind(), ErrorKind::Cancelled);
        assert!(ended);
        assert_eq!(counters.window_bytes(), 0);
        go.send(()).unwrap();
        drop(pool);
        assert!(started.try_recv().is_err(), "a queued unit started after the cancel");
    }

    #[test]
    fn queued_units_do_not_start_after_a_cancel_though_nobody_asks() {
        let pool = Pool::new(1);
        let (Gate { started, go }, decode) = gate();
        let cancel = Cancel::default();
        let stream =
            ReadAhead::new(&pool, WINDOW, cancel.clone(), Arc::default(), plan(0..9), decode);
        started.recv().unwrap();
        cancel.cancel();
        drop(go);
        // The only worker serves both in turn, so these come after those.
        assert_eq!(values(read_ahead(&pool, WINDOW, plan(0..9), Ok)).len(), 9);
        assert!(started.try_recv().is_err(), "a queued unit started after the cancel");
        drop(stream);
    }

    #[test]
    fn a_cancelled_stream_says_so_though_results_are_ready() {
        for threads in [0, 1] {
            let pool = Pool::new(threads);
            let cancel = Cancel::default();
            let window = Window { threads, ..WINDOW };
            let mut stream =
                ReadAhead::new(&pool, window, cancel.clone(), Arc::default(), plan(0..9), Ok);
            assert_eq!(stream.next().unwrap().unwrap(), 0);
            cancel.cancel();
            assert!(cancel.check().is_err());
            assert_eq!(stream.next().unwrap().unwrap_err().kind(), ErrorKind::Cancelled);
            assert!(stream.next().is_none());
        }
    }

    #[test]
    fn a_stream_cancelled_before_it_is_created_decodes_nothing() {
        for threads in [0, 2] {
            let pool = Pool::new(threads);
            let cancel = Cancel::default();
            cancel.cancel();
            let window = Window { threads, ..WINDOW };
            let mut stream = ReadAhead::new(
                &pool,
                window,
                cancel,
                Arc::default(),
                plan(0..9),
                |n: u64| -> Result<u64> { panic!("unit {n} was decoded") },
            );
            assert_eq!(stream.next().unwrap().unwrap_err().kind(), ErrorKind::Cancelled);
        }
    }

    #[test]
    fn a_deadline_gives_up_waiting_and_the_stream_can_be_asked_again() {
        let pool = Pool::new(1);
        let (Gate { go, .. }, decode) = gate();
        let mut stream = read_ahead(&pool, WINDOW, plan(0..2), decode);
        for wait_ms in [0, 1, 25] {
            let deadline = Instant::now() + Duration::from_millis(wait_ms);
            assert!(stream.next_until(Some(deadline)).is_pending());
            assert!(Instant::now() >= deadline);
        }
        go.send(()).unwrap();
        go.send(()).unwrap();
        assert_eq!(stream.next().unwrap().unwrap(), 0);
        let far = Instant::now() + Duration::from_secs(60);
        assert!(matches!(stream.next_until(Some(far)), Poll::Ready(Some(Ok(1)))));
        assert!(matches!(stream.next_until(Some(Instant::now())), Poll::Ready(None)));
    }

    #[test]
    fn a_units_own_timeout_ends_the_stream_like_any_error() {
        let pool = Pool::new(1);
        let mut stream = read_ahead(&pool, WINDOW, plan(0..2), |_| -> Result<u64> {
            Err(Error::timeout("the disk hangs"))
        });
        assert_eq!(stream.next().unwrap().unwrap_err().message(), "the disk hangs");
        assert!(stream.next().is_none());
    }

    #[test]
    fn a_deadline_of_now_makes_progress_where_the_consumer_decodes() {
        let pool = Pool::new(1);
        let serial = Window { threads: 0, ..WINDOW };
        for window in [serial, WINDOW] {
            let seen = on_worker(&pool, move |pool| {
                let mut stream = read_ahead(pool, window, plan(0..20), Ok);
                let mut seen = Vec::new();
                for _ in 0..100 {
                    match stream.next_until(Some(Instant::now())) {
                        Poll::Ready(Some(next)) => seen.push(next.unwrap()),
                        Poll::Pending => {}
                        Poll::Ready(None) => break,
                    }
                }
                seen
            });
            assert!(seen.into_iter().eq(0..20));
        }
    }

    // A plan that is a stream.

    /// A stream as the plan of another: each result is a unit.
    struct Feeds(ReadAhead<u64>);

    impl Source for Feeds {
        type Item = Result<Planned<u64>>;

        fn next_until(&mut self, deadline: Option<Instant>) -> Poll<Option<Self::Item>> {
            self.0.next_until(deadline).map_ok(|n| planned(n, 10))
        }

        fn wakes<'a>(&'a self, select: &mut Select<'a>) {
            self.0.wakes(select);
        }
    }

    fn fed<T: Send + 'static>(
        pool: &Arc<Pool>,
        window: Window,
        plan: ReadAhead<u64>,
        decode: impl Fn(u64) -> Result<T> + Send + Sync + 'static,
    ) -> ReadAhead<T> {
        let plan = Feeds(plan);
        ReadAhead::of(pool, window, Cancel::default(), Arc::default(), plan, decode)
    }

    #[test]
    fn a_plan_that_is_a_stream_gives_the_same_for_every_window_on_every_thread() {
        for (threads, on_a_worker) in [(0, false), (1, false), (1, true), (3, false), (3, true)] {
            for (units, bytes) in [(1, 1), (2, 25), (8, usize::MAX)] {
                let window = Window { threads, units, bytes };
                let run = move |pool: &Arc<Pool>| {
                    let second = fed(pool, window, read_ahead(pool, window, plan(0..200), Ok), Ok);
                    values(fed(pool, window, second, |n| Ok(n * 2)))
                };
                let pool = Pool::new(threads);
                let seen = if on_a_worker {
                    on_worker(&pool, run)
                } else {
                    within_a_minute(move || run(&pool))
                };
                assert!(seen.into_iter().eq((0..200).map(|n| n * 2)));
            }
        }
    }

    #[test]
    fn what_the_plan_is_not_ready_with_holds_up_no_result() {
        let pool = Pool::new(2);
        let (Gate { started, go }, decode) = gate();
        let inner =
            read_ahead(&pool, WINDOW, plan(0..3), move |n| if n == 1 { decode(n) } else { Ok(n) });
        // It is created while its plan has nothing to give, or little.
        let mut stream = within_a_minute(move || (fed(&pool, WINDOW, inner, Ok), pool));
        let first = within_a_minute(move || (stream.0.next(), stream));
        assert_eq!(started.recv().unwrap(), 1, "it waits at the gate still");
        stream = first.1;
        assert_eq!(first.0.unwrap().unwrap(), 0);
        assert!(stream.0.next_until(Some(Instant::now())).is_pending());
        go.send(()).unwrap();
        assert_eq!(values(stream.0), [1, 2]);
    }

    #[test]
    fn an_error_and_a_panic_of_a_plan_that_is_a_stream_come_in_their_place() {
        for threads in [0, 2] {
            let pool = Pool::new(threads);
            let window = Window { threads, ..WINDOW };
            let inner = read_ahead(&pool, window, plan(0..9), |n| match n {
                3 => Err(Error::corrupt("unit 3 is bad")),
                n => Ok(n),
            });
            let said = answers(fed(&pool, window, inner, Ok));
            assert_eq!(said.len(), 4);
            assert!(said[3].as_ref().unwrap_err().contains("unit 3 is bad"));
            let inner = read_ahead(&pool, window, plan(0..9), |n| match n {
                3 => panic_with("no"),
                n => Ok(n),
            });
            let said = answers(fed(&pool, window, inner, Ok));
            assert_eq!(said.len(), 4);
            assert!(said[3].as_ref().unwrap_err().contains("unit 3: panicked: no"));
        }
    }

    // As they finish.

    #[test]
    fn results_unordered_do_not_wait_for_the_first() {
        let pool = Pool::new(2);
        let (Gate { started, go }, decode) = gate();
        let stream = read_ahead(&pool, WINDOW, plan(0..6), move |n| match n {
            0 => decode(n),
            n => Ok(n),
        });
        let mut stream = stream.unordered();
        assert_eq!(started.recv().unwrap(), 0);
        let mut seen = within_a_minute(move || {
            let seen: Vec<_> = stream.by_ref().take(5).map(Result::unwrap).collect();
            (seen, stream)
        });
        assert_eq!(seen.0, [1, 2, 3, 4, 5]);
        assert!(seen.1.next_until(Some(Instant::now())).is_pending());
        go.send(()).unwrap();
        assert_eq!(seen.1.next().unwrap().unwrap(), 0);
        assert!(seen.1.next().is_none());
    }

    // 7. Drop.

    #[test]
    fn drop_waits_for_no_unit_and_queued_units_never_start() {
        let pool = Pool::new(1);
        let (Gate { started, go }, decode) = gate();
        let counters = Arc::new(Counters::default());
        let stream = ReadAhead::new(
            &pool,
            WINDOW,
            Cancel::default(),
            Arc::clone(&counters),
            plan(0..9),
            decode,
        );
        assert_eq!(started.recv().unwrap(), 0);

        within_a_minute(|| drop(stream));
        assert_eq!(counters.window_bytes(), 0);
        go.send(()).unwrap();
        assert_eq!(values(read_ahead(&pool, WINDOW, plan(0..9), Ok)).len(), 9);
        drop(pool);
        assert!(started.try_recv().is_err(), "a queued unit started after the drop");
    }

    #[test]
    fn drop_lets_go_of_the_units_that_never_start_and_of_the_plan() {
        let pool = Pool::new(1);
        let (Gate { started, go }, decode) = gate();
        let token = Arc::new(());
        let (in_plan, in_units) = (Arc::clone(&token), Arc::clone(&token));
        let plan = (0..9).map(move |n| {
            let _ = &in_plan;
            let unit = (n, Arc::clone(&in_units));
            Ok(Planned { unit, bytes: 1, label: Label::new(SpanKind::Decode, "unit") })
        });
        let stream = ReadAhead::new(
            &pool,
            WINDOW,
            Cancel::default(),
            Arc::default(),
            plan,
            move |(n, _token)| decode(n),
        );
        started.recv().unwrap();
        assert_eq!(Arc::strong_count(&token), 1 + 2 + 4);
        drop(stream);
        assert_eq!(Arc::strong_count(&token), 1 + 1, "only the running unit is left");
        go.send(()).unwrap();
    }

    // 8. Threads.

    #[test]
    fn the_last_handle_joins_the_threads_even_when_it_is_a_stream() {
        for stream_goes_last in [false, true] {
            let alive = ThreadsAlive::default();
            let shown = alive.clone();
            let pool = Pool::new(3);
            let meet = Barrier::new(3);
            let window = Window { threads: 3, units: 3, bytes: usize::MAX };
            let mut stream = read_ahead(&pool, window, plan(0..3), move |n| {
                shown.show_this_thread();
                meet.wait();
                Ok(n)
            });
            assert_eq!(stream.by_ref().count(), 3);
            assert_eq!(alive.count(1), 3);
            if stream_goes_last {
                drop(pool);
                assert_eq!(alive.count(1), 3, "a handle is left");
                drop(stream);
            } else {
                drop(stream);
                drop(pool);
            }
            assert_eq!(alive.count(1), 0);
        }
    }

    #[test]
    fn a_pool_starts_no_thread_before_the_first_unit_and_names_them() {
        let pool = Pool::new(2);
        let empty = read_ahead(&pool, WINDOW, plan(0..0), Ok);
        assert!(pool.workers.get().is_none());
        assert_eq!(empty.count(), 0);
        let serial = Window { threads: 0, ..WINDOW };
        assert_eq!(values(read_ahead(&pool, serial, plan(0..3), Ok)).len(), 3);
        assert!(pool.workers.get().is_none());

        let name = |_| Ok(thread::current().name().unwrap().to_owned());
        let name = read_ahead(&pool, WINDOW, plan(0..1), name).next().unwrap().unwrap();
        assert!(["delta-engine-0", "delta-engine-1"].contains(&&*name), "{name}");
    }

    #[test]
    fn a_last_handle_that_drops_on_its_own_worker_joins_nobody() {
        within_a_minute(|| {
            let alive = ThreadsAlive::default();
            let pool = Pool::new(2);
            let last = Arc::new(Mutex::new(None));
            let (done, is_done) = bounded(1);
            let (go, may_go) = bounded::<()>(0);
            let (has_started, started) = bounded(1);
            let (shown, owned) = (alive.clone(), Arc::clone(&last));
            let stream = read_ahead(&pool, WINDOW, plan(0..1), move |n| {
                shown.show_this_thread();
                has_started.send(()).unwrap();
                may_go.recv().unwrap();
                drop(lock(&owned).take());
                done.send(()).unwrap();
                Ok(n)
            });
            *lock(&last) = Some(pool);
            started.recv().unwrap();
            drop(stream);
            go.send(()).unwrap();
            is_done.recv().unwrap();
            // Nobody joins them, so their end can only be awaited.
            while alive.count(1) > 0 {
                thread::yield_now();
            }
        });
    }

    #[test]
    fn two_hundred_streams_left_in_any_state_leave_no_thread_and_no_unit() {
        within_a_minute(|| {
            let alive = ThreadsAlive::default();
            let units = Arc::new(());
            let pool = Pool::new(3);
            let mut seed = 7_u64;
            for _ in 0..200 {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let (fails_at, reads) = ((seed >> 33) % 40, (seed >> 43) % 40);
                let units_max = 1 + (seed >> 53) as usize % 9;
                let window =
                    Window { threads: (seed >> 60) as usize % 4, units: units_max, bytes: 99 };
                let (shown, held) = (alive.clone(), Arc::clone(&units));
                let cancel = Cancel::default();
                let mut stream = ReadAhead::new(
                    &pool,
                    window,
                    cancel.clone(),
                    Arc::default(),
                    plan(0..30),
                    move |n| {
                        shown.show_this_thread();
                        if n == fails_at { panic_with("no") } else { Ok(Arc::clone(&held)) }
                    },
                );
                for _ in 0..reads {
                    let _ = stream.next();
                }
                if reads % 3 == 0 {
                    cancel.cancel();
                    let _ = stream.next();
                }
            }
            drop(pool);
            HELD.with_borrow_mut(Vec::clear); // This thread decoded, too, without threads.
            assert_eq!(alive.count(1), 0);
            assert_eq!(Arc::strong_count(&units), 1);
        });
    }

    #[test]
    fn a_child_process_is_refused_and_its_drop_joins_nothing() {
        let pool = Pool::new(1);
        let (Gate { started, go }, decode) = gate();
        let mut stream = read_ahead(&pool, WINDOW, plan(0..9), decode);
        started.recv().unwrap();
        // What a child sees: another pid than the one that started the threads.
        pool.pid.store(process::id() + 1, Ordering::Relaxed);

        let error = stream.next().unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Misuse);
        assert!(error.message().contains("after fork"), "{error}");
        assert!(stream.next().is_none());
        for threads in [0, 1] {
            let window = Window { threads, ..WINDOW };
            let error = read_ahead(&pool, window, plan(0..9), Ok).next().unwrap().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Misuse);
        }
        // Unit 0 still holds the only worker, so a join would hang.
        within_a_minute(|| drop((stream, pool)));
        drop(go);
    }

    #[test]
    fn a_thread_that_cannot_start_is_an_error_and_those_that_did_are_joined() {
        let alive = ThreadsAlive::default();
        let shown = alive.clone();
        let mut started = 0;
        let error = Workers::start(3, |worker| {
            if started == 2 {
                return Err(io::Error::other("no more threads"));
            }
            started += 1;
            let shown = shown.clone();
            thread::Builder::new().spawn(move || {
                shown.show_this_thread();
                drop(shown);
                worker.run();
            })
        });
        let error = error.err().unwrap();
        assert_eq!(error.kind(), ErrorKind::LimitExceeded);
        assert_eq!(error.message(), "cannot start worker thread 3 of 3: no more threads");
        assert_eq!(alive.count(2), 0);
    }

    // 9. When decoding begins, and where.

    #[test]
    fn decoding_begins_when_the_stream_is_created() {
        let pool = Pool::new(2);
        let (Gate { started, go }, decode) = gate();
        let stream = read_ahead(&pool, WINDOW, plan(0..9), decode);
        let mut first_two = [started.recv().unwrap(), started.recv().unwrap()];
        first_two.sort_unstable();
        assert_eq!(first_two, [0, 1]);
        drop(go);
        assert_eq!(stream.count(), 9);
    }

    #[test]
    fn without_threads_each_call_decodes_one_unit_on_the_caller() {
        let caller = thread::current().id();
        for (pool, threads) in [(Pool::new(0), 2), (Pool::new(2), 0)] {
            let decoded = Arc::new(AtomicUsize::new(0));
            let count = Arc::clone(&decoded);
            let mut stream =
                read_ahead(&pool, Window { threads, ..WINDOW }, plan(0..9), move |n| {
                    assert_eq!(thread::current().id(), caller);
                    count.fetch_add(1, Ordering::SeqCst);
                    Ok(n)
                });
            assert_eq!(decoded.load(Ordering::SeqCst), 0);
            for n in 0..9 {
                assert_eq!(stream.next().unwrap().unwrap(), n);
                assert_eq!(decoded.load(Ordering::SeqCst) as u64, n + 1);
            }
            assert!(stream.next().is_none());
        }
    }

    /// Runs `body` in a unit, that is, on a worker of `pool`.
    fn on_worker<R: Send + 'static>(
        pool: &Arc<Pool>,
        body: impl Fn(&Arc<Pool>) -> R + Send + Sync + 'static,
    ) -> R {
        let inner = Arc::clone(pool);
        let mut stream = read_ahead(pool, WINDOW, plan(0..1), move |_| Ok(body(&inner)));
        within_a_minute(move || stream.next()).unwrap().unwrap()
    }

    #[test]
    fn a_stream_inside_a_pool_of_one_does_not_wait_for_itself() {
        let pool = Pool::new(1);
        let created_inside =
            on_worker(&pool, |pool| values(read_ahead(pool, WINDOW, plan(0..50), Ok)));
        assert!(created_inside.into_iter().eq(0..50));

        let (Gate { started, go }, decode) = gate();
        let mut first = read_ahead(&pool, WINDOW, plan(0..1), decode);
        started.recv().unwrap();
        let outside = Mutex::new(Some(read_ahead(&pool, WINDOW, plan(0..50), Ok)));
        let consumer = read_ahead(&pool, WINDOW, plan(0..1), move |_| {
            Ok(values(lock(&outside).take().unwrap()))
        });
        go.send(()).unwrap();
        assert_eq!(first.next().unwrap().unwrap(), 0);
        let consumed_inside = within_a_minute(move || consumer.last().unwrap().unwrap());
        assert!(consumed_inside.into_iter().eq(0..50));
    }

    #[test]
    fn streams_inside_streams_on_every_worker_come_to_an_end() {
        for threads in 1..4 {
            let pool = Pool::new(threads);
            let inner = Arc::clone(&pool);
            let outer = read_ahead(&pool, Window { threads, ..WINDOW }, plan(0..40), move |n| {
                let innermost = Arc::clone(&inner);
                let window = Window { threads: 2, units: 3, bytes: usize::MAX };
                let stream = read_ahead(&inner, window, plan(0..n), move |m| {
                    Ok(values(read_ahead(&innermost, window, plan(0..m), Ok)).len() as u64)
                });
                Ok(values(stream).into_iter().sum::<u64>())
            });
            let sums = within_a_minute(move || values(outer));
            assert!(sums.into_iter().eq((0..40).map(|n: u64| n * n.saturating_sub(1) / 2)));
        }
    }

    #[test]
    fn a_helping_consumer_counts_among_the_units_that_may_run() {
        let pool = Pool::new(3);
        let most = on_worker(&pool, |pool| {
            let (now, peak) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
            let most = Arc::clone(&peak);
            let window = Window { threads: 1, units: 8, bytes: usize::MAX };
            let stream = read_ahead(pool, window, plan(0..2_000), move |n| {
                peak.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                thread::yield_now();
                now.fetch_sub(1, Ordering::SeqCst);
                Ok(n)
            });
            assert!(values(stream).into_iter().eq(0..2_000));
            most.load(Ordering::SeqCst)
        });
        assert_eq!(most, 1);
    }

    #[test]
    fn a_consumer_in_a_foreign_pool_of_one_thread_is_served() {
        let foreign = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        for threads in [0, 1, 2] {
            let pool = Pool::new(threads);
            let window = Window { threads, ..WINDOW };
            let seen = foreign.install(|| values(read_ahead(&pool, window, plan(0..50), Ok)));
            assert!(seen.into_iter().eq(0..50));
        }
    }

    #[test]
    fn each_unit_that_is_decoded_has_one_span_and_one_that_never_starts_has_none() {
        for threads in [0, 2] {
            let told = Arc::new(Mutex::new(Vec::new()));
            let hook = Arc::clone(&told);
            let spans = Spans::to(move |span| {
                if span.kind == SpanKind::Decode {
                    lock(&hook).push((span.name.to_owned(), span.worker.is_some()));
                }
                panic_with("the hook's own affair");
            });
            let pool = Pool::watched(threads, spans);
            let window = Window { threads, units: 4, ..WINDOW };
            let stream = read_ahead(&pool, window, plan(0..100), |n| match n {
                50 => panic_with("half way"),
                n => Ok(n),
            });
            assert_eq!(answers(stream).len(), 51);
            drop(pool);

            let mut told = mem::take(&mut *lock(&told));
            assert!(told.iter().all(|&(_, on_worker)| on_worker == (threads > 0)), "{told:?}");
            let started = told.len();
            told.sort();
            told.dedup();
            assert_eq!(told.len(), started, "a unit has two spans");
            let has = |n| told.contains(&(format!("unit {n}"), threads > 0));
            assert!((0..=50).all(has) && !has(54), "{told:?}");
        }
    }

    #[test]
    fn a_stream_and_a_cancel_go_to_any_thread() {
        fn goes<S: Send>() {}
        fn is_shared<S: Send + Sync>() {}
        goes::<ReadAhead<u64>>();
        is_shared::<Cancel>();
        is_shared::<Counters>();
        is_shared::<Pool>();
    }
}
