//! Tasks: one for each request, woken by the platform and by nothing else.
//!
//! Promise: a step out of the module and back costs one call each way. A task waits for one
//! [`Step`] at a time, and [`wake`] brings that step's outcome. It refuses to be a general
//! executor: there are no wakers, so a future that waits for anything but a [`Step`] waits for ever.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use slab::Slab;

/// How a step ended: a number, and bytes if it brings any. Numbers below zero are failures.
pub(super) type Outcome = (i32, Vec<u8>);

type Task = Pin<Box<dyn Future<Output = ()>>>;

thread_local! {
    /// A task is taken out while it runs.
    static TASKS: RefCell<Slab<Option<Task>>> = const { RefCell::new(Slab::new()) };
    /// For the task that runs now.
    static OUTCOME: Cell<Option<Outcome>> = const { Cell::new(None) };
}

/// Starts a task, which `make` makes of the number under which it will be woken.
pub(super) fn spawn<F: Future<Output = ()> + 'static>(make: impl FnOnce(usize) -> F) {
    let id = TASKS.with_borrow_mut(|tasks| tasks.insert(None));
    run(id, Box::pin(make(id)));
}

/// Lets a task go on with the outcome of its step.
pub(super) fn wake(id: usize, outcome: Outcome) {
    let task = TASKS.with_borrow_mut(|tasks| tasks.get_mut(id).and_then(Option::take));
    if let Some(task) = task {
        OUTCOME.set(Some(outcome));
        run(id, task);
    }
}

fn run(id: usize, mut task: Task) {
    let done = task
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
        .is_ready();
    TASKS.with_borrow_mut(|tasks| {
        if done {
            tasks.try_remove(id);
        } else if let Some(place) = tasks.get_mut(id) {
            *place = Some(task);
        }
    });
}

/// Something that the platform does for the running task.
pub(super) struct Step<F> {
    begin: Option<F>,
}

impl<F: FnOnce() + Unpin> Step<F> {
    /// `begin` starts it, and sees to it that [`wake`] is called when it ends.
    pub(super) fn new(begin: F) -> Self {
        Self { begin: Some(begin) }
    }
}

impl<F: FnOnce() + Unpin> Future for Step<F> {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Outcome> {
        match self.begin.take() {
            Some(begin) => {
                begin();
                Poll::Pending
            }
            None => OUTCOME.take().map_or(Poll::Pending, Poll::Ready),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::rc::Rc;

    #[test]
    fn a_task_goes_on_when_its_own_step_ends() {
        let seen = Rc::new(RefCell::new(Vec::new()));
        for name in ["a", "b"] {
            let seen = Rc::clone(&seen);
            spawn(move |id| async move {
                for step in 0..2 {
                    let (outcome, bytes) = Step::new(|| {}).await;
                    seen.borrow_mut().push((name, id, step, outcome, bytes));
                }
            });
        }
        let ids: Vec<usize> = TASKS.with_borrow(|tasks| tasks.iter().map(|(id, _)| id).collect());
        let [a, b] = ids[..] else { panic!("{ids:?}") };
        wake(b, (1, vec![1]));
        wake(a, (2, vec![]));
        wake(b, (3, vec![]));
        // Nobody's any more.
        wake(b, (4, vec![]));
        wake(99, (5, vec![]));
        wake(a, (6, vec![]));
        assert_eq!(
            *seen.borrow(),
            [
                ("b", b, 0, 1, vec![1]),
                ("a", a, 0, 2, vec![]),
                ("b", b, 1, 3, vec![]),
                ("a", a, 1, 6, vec![]),
            ]
        );
        assert!(TASKS.with_borrow(Slab::is_empty));
    }
}
