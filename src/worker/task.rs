//! Tasks: one for each event, woken by the platform alone.
//!
//! A call out of the module costs one crossing each way. A task waits for one [`Step`] at a time,
//! and [`wake`] brings that step's outcome. This is not a general executor: there are no wakers, so
//! a future that waits for anything but a [`Step`] never continues.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use crate::platform::Millis;

/// How a step ended: a number, and bytes if there are any. Numbers below zero are failures.
pub(super) type Ending = (i32, Vec<u8>);

type Task = Pin<Box<dyn Future<Output = ()>>>;

/// A task that waits for a step.
struct Waiting {
    id: u32,
    /// Taken out while it runs.
    task: Option<Task>,
    /// No task waits longer than this.
    until: Millis,
}

thread_local! {
    /// The waiting tasks, in the order of their numbers.
    static TASKS: RefCell<Vec<Waiting>> = const { RefCell::new(Vec::new()) };
    /// Number of the next task; an isolate does not live for four billion events.
    static NEXT: Cell<u32> = const { Cell::new(0) };
    /// The result that the next task to run takes.
    static ENDING: Cell<Option<Ending>> = const { Cell::new(None) };
}

/// Starts a task, and returns the number under which it will be woken. Tasks that have not ended by
/// their `until` are dropped: their client disconnected, and the platform ended their request.
pub(super) fn spawn(now: Millis, until: Millis, task: impl Future<Output = ()> + 'static) -> u32 {
    let abandoned = TASKS.with_borrow_mut(|tasks| tasks.extract_if(.., |task| task.until < now).collect::<Vec<_>>());
    drop(abandoned);
    let id = NEXT.replace(NEXT.get().saturating_add(1));
    TASKS.with_borrow_mut(|tasks| {
        tasks.push(Waiting { id, task: None, until });
    });
    run(id, Box::pin(task));
    id
}

/// Continues a task with the outcome of its step; returns false if the task was dropped.
pub(super) fn wake(id: u32, outcome: Ending) -> bool {
    let task = TASKS.with_borrow_mut(|tasks| find(tasks, id).and_then(|at| tasks.get_mut(at)?.task.take()));
    let Some(task) = task else { return false };
    ENDING.set(Some(outcome));
    run(id, task);
    true
}

fn find(tasks: &[Waiting], id: u32) -> Option<usize> {
    tasks.binary_search_by_key(&id, |task| task.id).ok()
}

fn run(id: u32, mut task: Task) {
    let done = task.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready();
    TASKS.with_borrow_mut(|tasks| match find(tasks, id) {
        Some(at) if done => drop(tasks.remove(at)),
        Some(at) => {
            if let Some(waiting) = tasks.get_mut(at) {
                waiting.task = Some(task);
            }
        }
        None => {}
    });
}

/// A call to the platform that the running task waits for.
pub(super) struct Step<F> {
    begin: Option<F>,
}

impl<F: FnOnce() + Unpin> Step<F> {
    /// `begin` starts the call, and must cause [`wake`] to be called when it ends.
    pub(super) fn new(begin: F) -> Self {
        Self { begin: Some(begin) }
    }
}

impl<F: FnOnce() + Unpin> Future for Step<F> {
    type Output = Ending;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Ending> {
        match self.begin.take() {
            Some(begin) => {
                begin();
                Poll::Pending
            }
            None => ENDING.take().map_or(Poll::Pending, Poll::Ready),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::rc::Rc;

    #[test]
    fn task_continues_when_its_own_step_ends() {
        let seen = Rc::new(RefCell::new(Vec::new()));
        let mut ids = Vec::new();
        for name in ["a", "b"] {
            let seen = Rc::clone(&seen);
            ids.push(spawn(0, 1, async move {
                for step in 0..2 {
                    let (outcome, bytes) = Step::new(|| {}).await;
                    seen.borrow_mut().push((name, step, outcome, bytes));
                }
            }));
        }
        let [a, b] = ids[..] else { panic!("{ids:?}") };
        wake(b, (1, vec![1]));
        wake(a, (2, vec![]));
        wake(b, (3, vec![]));
        // That task has ended, and the other does not exist.
        assert!(!wake(b, (4, vec![])));
        assert!(!wake(99, (5, vec![])));
        wake(a, (6, vec![]));
        assert_eq!(
            *seen.borrow(),
            [("b", 0, 1, vec![1]), ("a", 0, 2, vec![]), ("b", 1, 3, vec![]), ("a", 1, 6, vec![])]
        );
        assert!(TASKS.with_borrow(Vec::is_empty));
    }

    #[test]
    fn only_expired_tasks_are_dropped() {
        let alive = Rc::new(());
        let mut ids = Vec::new();
        for (now, until) in [(0, 10), (1, 11), (12, 22)] {
            let alive = Rc::clone(&alive);
            ids.push(spawn(now, until, async move {
                Step::new(|| {}).await;
                drop(alive);
            }));
        }
        assert_eq!(Rc::strong_count(&alive), 2);
        assert!(!wake(ids[0], (0, vec![])) && !wake(ids[1], (0, vec![])));
        assert!(wake(ids[2], (0, vec![])));
        assert_eq!(Rc::strong_count(&alive), 1);
        assert!(TASKS.with_borrow(Vec::is_empty));
    }
}
