//! A server as a process of its own.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use ropewalk_guests::servers::free_address;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::{Contender, Failure};

/// The CPUs that this process may use.
pub(crate) fn cpus() -> io::Result<Vec<usize>> {
    let set = sched_getaffinity(None)?;
    Ok((0..CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).collect())
}

/// Keeps the calling thread, and what it starts, on one CPU.
pub(crate) fn pin_to(cpu: Option<usize>) -> io::Result<()> {
    let Some(cpu) = cpu else { return Ok(()) };
    let mut set = CpuSet::new();
    set.set(cpu);
    Ok(sched_setaffinity(None, &set)?)
}

/// Ends when it is dropped.
pub(crate) struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    /// Starts one, and waits until it takes connections.
    pub(crate) fn start(
        guest: &str,
        contender: &Contender,
        postgres: Option<&PathBuf>,
    ) -> Result<Self, Failure> {
        let address = free_address()?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["serve", guest, contender.name, &address.to_string()]).args(postgres);
        command.stdin(Stdio::null());
        match contender.driver {
            Some(driver) => command.env("ROPEWALK_DRIVER", driver),
            None => command.env_remove("ROPEWALK_DRIVER"),
        };
        let mut server = Self { child: command.spawn()?, address };
        while TcpStream::connect(address).is_err() {
            if let Some(status) = server.child.try_wait()? {
                return Err(format!("the server does not start: {status}").into());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(server)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The time that it has used of CPUs: fields 14 and 15 of proc_pid_stat(5), in hundredths of a second.
    pub(crate) fn cpu_time(&self) -> Result<Duration, Failure> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // The second field, the name, may hold anything.
        let fields = stat.rsplit_once(')').ok_or("no name")?.1.split_whitespace();
        let ticks: Result<Vec<u64>, _> = fields.skip(11).take(2).map(str::parse).collect();
        let per_second = rustix::param::clock_ticks_per_second();
        Ok(Duration::from_secs(ticks?.iter().sum()) / u32::try_from(per_second)?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
