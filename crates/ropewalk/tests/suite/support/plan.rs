//! One test, every plan.

use std::sync::Arc;

use ropewalk::{DriverKind, JoinHandle, Runtime, coroutine, thread};

use super::guarded;

/// How a task of a test is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    Coroutine,
    Thread,
}

pub(crate) const PLANS: [Plan; 2] = [Plan::Coroutine, Plan::Thread];

/// What a task does. In a box, so that what it takes to spawn it is compiled once for each `T`, and not for each test: there
/// are so many that it matters.
type Body<T> = Box<dyn FnOnce() -> T + Send>;

impl Plan {
    #[track_caller]
    pub(crate) fn spawn<F, T>(self, f: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let f: Body<T> = Box::new(f);
        match self {
            Self::Coroutine => coroutine::spawn(f),
            Self::Thread => thread::spawn(f),
        }
    }

    #[track_caller]
    pub(crate) fn spawn_named<F, T>(self, name: &str, f: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let f: Body<T> = Box::new(f);
        match self {
            Self::Coroutine => coroutine::Builder::new().name(name.into()).spawn(f),
            Self::Thread => thread::Builder::new().name(name.into()).spawn(f),
        }
        .expect("a task starts")
    }

    #[track_caller]
    pub(crate) fn spawn_daemon<F, T>(self, f: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let f: Body<T> = Box::new(f);
        match self {
            Self::Coroutine => coroutine::Builder::new().daemon(true).spawn(f),
            Self::Thread => thread::Builder::new().daemon(true).spawn(f),
        }
        .expect("a daemon starts")
    }

    /// A scope whose children are run by this plan.
    pub(crate) fn scope_with<'env, F, T>(self, on_failure: ropewalk::OnFailure, f: F) -> T
    where
        F: for<'scope> FnOnce(&'scope ropewalk::Scope<'scope, 'env>) -> T,
    {
        match self {
            Self::Coroutine => ropewalk::scope_with(on_failure, f),
            Self::Thread => thread::scope_with(on_failure, None, f),
        }
    }

    pub(crate) fn scope<'env, F, T>(self, f: F) -> T
    where
        F: for<'scope> FnOnce(&'scope ropewalk::Scope<'scope, 'env>) -> T,
    {
        match self {
            Self::Coroutine => ropewalk::scope(f),
            Self::Thread => thread::scope(f),
        }
    }
}

/// A runtime with so many workers, on the driver that the environment names.
pub(crate) fn runtime(workers: usize) -> Runtime {
    Runtime::builder().workers(workers).build().expect("a runtime can be built")
}

/// Runs `body` once for each plan, on a thread that is no worker, in a runtime of two workers: so a worker sleeps when
/// its coroutines do.
#[track_caller]
pub(crate) fn on_every_plan(body: impl Fn(Plan) + Send + Sync + 'static) {
    let body: Arc<dyn Fn(Plan) + Send + Sync> = Arc::new(body);
    on_plans(&[(Plan::Thread, Plan::Coroutine), (Plan::Thread, Plan::Thread)], &body);
}

/// Runs `body` as a task of each plan, with each plan for the tasks that it spawns: all four combinations, in a runtime
/// of two workers.
#[track_caller]
pub(crate) fn on_every_pair(body: impl Fn(Plan) + Send + Sync + 'static) {
    let body: Arc<dyn Fn(Plan) + Send + Sync> = Arc::new(body);
    let pairs: Vec<_> = PLANS.iter().flat_map(|here| PLANS.map(|there| (*here, there))).collect();
    on_plans(&pairs, &body);
}

/// Runs `body`, as a task of the first plan, with the second one.
#[track_caller]
fn on_plans(pairs: &[(Plan, Plan)], body: &Arc<dyn Fn(Plan) + Send + Sync>) {
    guarded(|| {
        for &(here, there) in pairs {
            let body = body.clone();
            let outcome = runtime(2).run(|| here.spawn(move || body(there)).join());
            outcome.unwrap_or_else(|error| panic!("as a {there:?}, spawned by a {here:?}: {error}"));
        }
    });
}

/// The drivers that work here.
pub(crate) fn drivers() -> Vec<DriverKind> {
    let works = |driver| match Runtime::builder().workers(1).driver(driver).build() {
        Ok(_) => true,
        Err(error) => {
            eprintln!("without {driver}: {error}");
            false
        }
    };
    [DriverKind::Uring, DriverKind::Epoll].into_iter().filter(|driver| works(*driver)).collect()
}

/// The driver with this name.
pub(crate) fn driver_named(name: &str) -> DriverKind {
    let kinds = [DriverKind::Uring, DriverKind::Epoll];
    kinds.into_iter().find(|kind| kind.to_string() == name).expect("a driver's name")
}

/// Runs `body` on a thread, in a runtime of two workers on this driver.
#[track_caller]
pub(crate) fn on_driver<T: Send + 'static>(
    driver: DriverKind,
    body: impl FnOnce() -> T + Send + 'static,
) -> T {
    let body: Body<T> = Box::new(body);
    guarded(|| {
        let runtime = Runtime::builder().workers(2).driver(driver).build().expect("the driver works here");
        runtime.run(|| thread::spawn(body).join()).unwrap_or_else(|error| panic!("on {driver}: {error}"))
    })
}
