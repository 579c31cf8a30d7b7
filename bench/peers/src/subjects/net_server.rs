//! A server in a process of its own, seen from outside: what it burns, what it holds, how often it calls the kernel.

use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::frame::runner::{allowed_cpus, on_cpus};
use crate::frame::tools::{built, nginx, source};
use crate::servers::Server;

/// What to start.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// This program, as one of its servers.
    Own(Server),
    /// The same, with Ropewalk's driver forced.
    Driven(Server, &'static str),
    /// The program in `go`.
    Go(&'static str),
    Nginx,
}

/// Killed when it goes out of scope.
pub(super) struct Running {
    child: Child,
    pub address: SocketAddrV4,
    /// nginx keeps its files here.
    _folder: Option<tempfile::TempDir>,
}

/// On which CPUs the server runs, and on which its client: apart, if there are two.
pub(super) fn cpus() -> (Vec<usize>, Vec<usize>) {
    let cpus = allowed_cpus();
    let client = *cpus.get(1).unwrap_or(&cpus[0]);
    (vec![cpus[0]], vec![client])
}

impl Running {
    /// Starts it on these CPUs, and waits until it takes a connection.
    pub(super) fn start(kind: Kind, on: &[usize]) -> Self {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
        let address = SocketAddrV4::new(Ipv4Addr::LOCALHOST, free.expect("a free port").port());
        let (mut command, folder) = command(kind, address, on.len());
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let child = on_cpus(on, || command.spawn()).expect("the server starts");
        let mut running = Self { child, address, _folder: folder };
        let until = Instant::now() + Duration::from_secs(5);
        while TcpStream::connect(address).is_err() {
            let ended = running.child.try_wait().expect("it is ours");
            assert!(ended.is_none(), "the server has ended: {ended:?}");
            assert!(Instant::now() < until, "the server does not listen");
            std::thread::sleep(Duration::from_millis(5));
        }
        running
    }

    /// The process and its children: nginx serves in one.
    fn processes(&self) -> Vec<u32> {
        let mut all = vec![self.child.id()];
        let mut place = 0;
        while place < all.len() {
            let tasks = format!("/proc/{}/task", all[place]);
            for task in std::fs::read_dir(tasks).into_iter().flatten().flatten() {
                let children = read(&task.path().join("children"));
                all.extend(children.split_whitespace().filter_map(|word| word.parse::<u32>().ok()));
            }
            place += 1;
        }
        all
    }

    /// What its threads have run, user and system, in seconds: the scheduler counts it in nanoseconds.
    pub(super) fn cpu_seconds(&self) -> f64 {
        let first = |text: String| text.split_whitespace().next().and_then(|word| word.parse::<f64>().ok());
        let nanos = |thread: &Path| first(read(&thread.join("schedstat"))).unwrap_or(0.0);
        self.of_threads(nanos) / 1e9
    }

    /// How often one of its threads went to sleep, or was sent to.
    pub(super) fn context_switches(&self) -> f64 {
        self.of_threads(|thread| sum(&read(&thread.join("status")), "ctxt_switches:"))
    }

    fn of_threads(&self, figure: impl Fn(&Path) -> f64) -> f64 {
        let threads =
            |process| std::fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
        self.processes().into_iter().flat_map(threads).map(|thread| figure(&thread.path())).sum()
    }

    /// Resident memory and page tables.
    pub(super) fn resident_bytes(&self) -> f64 {
        let kib = |process: u32| {
            let status = read(format!("/proc/{process}/status").as_ref());
            sum(&status, "VmRSS:") + sum(&status, "VmPTE:")
        };
        self.processes().into_iter().map(kib).sum::<f64>() * 1024.0
    }

    /// How often it calls the kernel, per second, while `body` runs over and over: as perf counts, if it is there and may.
    pub(super) fn system_calls(&self, mut body: impl FnMut()) -> Option<f64> {
        let processes: Vec<_> = self.processes().iter().map(u32::to_string).collect();
        let mut perf = Command::new("perf");
        perf.env("LC_ALL", "C").args(["stat", "-e", "raw_syscalls:sys_enter", "-p", &processes.join(",")]);
        perf.args(["--", "sleep", "0.1"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut perf = perf.spawn().ok()?;
        // It takes a while to begin.
        while perf.try_wait().ok()?.is_none() {
            body();
        }
        let output = perf.wait_with_output().ok()?;
        let text = String::from_utf8_lossy(&output.stderr);
        let number_before = |what: &str| {
            let line = text.lines().find(|line| line.contains(what))?;
            line.split_whitespace().next()?.replace(',', "").parse::<f64>().ok()
        };
        Some(number_before("raw_syscalls:sys_enter")? / number_before("seconds time elapsed")?)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        for process in self.processes() {
            let process = rustix::process::Pid::from_raw(process as i32).expect("a process has a number");
            let _ = rustix::process::kill_process(process, rustix::process::Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

fn command(kind: Kind, address: SocketAddrV4, workers: usize) -> (Command, Option<tempfile::TempDir>) {
    let own = |server: Server| {
        use clap::ValueEnum;
        let name = server.to_possible_value().expect("no server is hidden");
        let mut command = Command::new(std::env::current_exe().expect("a program knows its path"));
        command.args(["serve", name.get_name(), &address.to_string(), &workers.to_string()]);
        command
    };
    match kind {
        Kind::Own(server) => (own(server), None),
        Kind::Driven(server, driver) => {
            let mut command = own(server);
            command.env("ROPEWALK_DRIVER", driver);
            (command, None)
        }
        Kind::Go(what) => {
            let mut command = Command::new(built("go"));
            command.env("GOMAXPROCS", workers.to_string()).args(["serve", what, &address.to_string()]);
            (command, None)
        }
        Kind::Nginx => {
            let folder = tempfile::tempdir().expect("a folder");
            let settings = read(&source("nginx").join("nginx.conf"));
            let settings = settings
                .replace("ADDRESS", &address.to_string())
                .replace("worker_processes 1", &format!("worker_processes {workers}"));
            let file = folder.path().join("nginx.conf");
            std::fs::write(&file, settings).expect("a file of ours");
            let mut command = Command::new(nginx());
            command.arg("-p").arg(folder.path()).arg("-c").arg(file).stderr(Stdio::null());
            (command, Some(folder))
        }
    }
}

/// Empty for what has gone.
fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// The numbers after the names that end so.
fn sum(text: &str, name: &str) -> f64 {
    let lines = text.lines().filter_map(|line| line.split_once(name)).map(|(_, rest)| rest);
    lines.filter_map(|rest| rest.split_whitespace().next()?.parse::<f64>().ok()).sum()
}
