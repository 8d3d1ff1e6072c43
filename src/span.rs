//! What the threads of an engine are at, and when: what a picture of a run is
//! drawn from.
//!
//! Whoever begins something takes a watch, and dropping the watch tells the
//! host's hook of a span. Without a hook a watch is empty: taking and dropping
//! it are a branch each, no clock is read and no name is made. This module
//! knows nothing of Delta; what is done is called what its caller calls it.

use std::fmt;
use std::mem;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use crate::error::escaped;

/// What a thread is at during a [`Span`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum SpanKind {
    /// Learns which files the log has, and how big they are.
    List,
    /// Reads what the opening of a snapshot or of a stream needs: protocol and
    /// metadata, the footers of checkpoint files.
    Open,
    /// Decodes one decode unit. A worker that knows already which files newer
    /// commits hide asks for them on the way.
    Decode,
    /// Asks, on the consumer, which files of a decoded batch are live.
    Probe,
    /// Is blocked, because the unit that must come next is not decoded yet.
    Wait,
}

/// One thing that one thread did, from when to when.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Span<'a> {
    /// Which of the engine's workers it was, counted from 0; `None` for a
    /// thread of the host, the consumer of a stream.
    pub worker: Option<usize>,
    /// What it did.
    pub kind: SpanKind,
    /// What it did it to: a file of the log, and where that is not all of it,
    /// a half-open range of its bytes, of its rows or of versions. One line,
    /// control characters escaped.
    pub name: &'a str,
    /// When it began.
    pub start: Instant,
    /// When it ended.
    pub end: Instant,
}

type Hook = dyn Fn(Span<'_>) + Send + Sync;

/// Where spans go: to the host's hook, or nowhere.
#[derive(Clone, Default)]
pub(crate) struct Spans {
    hook: Option<Arc<Hook>>,
}

impl Spans {
    pub(crate) fn to(hook: impl Fn(Span<'_>) + Send + Sync + 'static) -> Spans {
        Spans { hook: Some(Arc::new(hook)) }
    }

    /// A watch for what this thread begins now. Neither `label` nor `worker` is
    /// asked without a hook.
    pub(crate) fn watch(
        &self,
        label: impl FnOnce() -> Label,
        worker: impl FnOnce() -> Option<usize>,
    ) -> Watch {
        let running = self.hook.as_ref().map(|hook| Running {
            hook: Arc::clone(hook),
            label: label(),
            worker: worker(),
            start: Instant::now(),
        });
        Watch { running }
    }
}

/// What is done, to which file, and to which share of it.
#[derive(Debug, Clone)]
pub(crate) struct Label {
    kind: SpanKind,
    file: Arc<str>,
    /// What is counted, and from where to where.
    share: Option<(&'static str, Range<u64>)>,
}

impl Label {
    /// All of `file`.
    pub(crate) fn new(kind: SpanKind, file: impl Into<Arc<str>>) -> Label {
        Label { kind, file: file.into(), share: None }
    }

    /// A share of it: a range of its `"bytes"`, say.
    pub(crate) fn share(self, what: &'static str, range: Range<u64>) -> Label {
        Label { share: Some((what, range)), ..self }
    }

    /// Something else that is done to the same.
    pub(crate) fn turned_to(&self, kind: SpanKind) -> Label {
        Label { kind, ..self.clone() }
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&escaped(&self.file))?;
        match &self.share {
            Some((what, range)) => write!(f, " {what} {}..{}", range.start, range.end),
            None => Ok(()),
        }
    }
}

/// Runs while something is done, and tells the hook when it is dropped.
#[derive(Default)]
pub(crate) struct Watch {
    running: Option<Running>,
}

impl Watch {
    pub(crate) fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Nothing runs any more.
    pub(crate) fn stop(&mut self) {
        drop(self.running.take());
    }
}

struct Running {
    hook: Arc<Hook>,
    label: Label,
    worker: Option<usize>,
    start: Instant,
}

impl Running {
    fn tell(&self) {
        let end = Instant::now();
        // The host's hook is called where a panic would cost a unit, or a
        // worker: what it has to say about itself goes to the panic's own hook.
        let told = catch_unwind(AssertUnwindSafe(|| {
            let Running { hook, label, worker, start } = self;
            let name = label.to_string();
            hook(Span { worker: *worker, kind: label.kind, name: &name, start: *start, end });
        }));
        if let Err(payload) = told {
            mem::forget(payload);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.tell();
    }
}

#[cfg(test)]
mod tests {
    use std::panic::resume_unwind;
    use std::sync::{Mutex, PoisonError};

    use super::*;

    type Told = Arc<Mutex<Vec<(SpanKind, String, Instant, Instant)>>>;

    fn told() -> (Told, Spans) {
        let told = Told::default();
        let hook = Arc::clone(&told);
        let spans = Spans::to(move |span| {
            let mut told = hook.lock().unwrap_or_else(PoisonError::into_inner);
            told.push((span.kind, span.name.to_owned(), span.start, span.end));
        });
        (told, spans)
    }

    #[test]
    fn without_a_hook_nobody_is_asked_for_a_name() {
        let mut watch = Spans::default().watch(|| unreachable!(), || unreachable!());
        assert!(!watch.is_running());
        watch.stop();
    }

    #[test]
    fn a_watch_tells_what_was_done_to_which_share_when_it_is_dropped() {
        let (told, spans) = told();
        let label = Label::new(SpanKind::Decode, "a\n.json").share("bytes", 5..10);
        let watch = spans.watch(|| label.turned_to(SpanKind::Probe), || None);
        assert!(watch.is_running() && told.lock().unwrap().is_empty());
        drop(watch);

        let told = told.lock().unwrap();
        let [(kind, name, start, end)] = &told[..] else { panic!("{told:?}") };
        assert_eq!((*kind, &**name), (SpanKind::Probe, "a\\n.json bytes 5..10"));
        assert!(start <= end);
    }

    #[test]
    fn a_hook_that_panics_costs_nothing_even_while_a_panic_unwinds() {
        let spans = Spans::to(|_| resume_unwind(Box::new("the hook")));
        drop(spans.watch(|| Label::new(SpanKind::List, "log"), || None));
        let unwound = catch_unwind(AssertUnwindSafe(|| {
            let _watch = spans.watch(|| Label::new(SpanKind::List, "log"), || None);
            resume_unwind(Box::new("the work"));
        }));
        assert_eq!(unwound.unwrap_err().downcast_ref(), Some(&"the work"));
    }
}
