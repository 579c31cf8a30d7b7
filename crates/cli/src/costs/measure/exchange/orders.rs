//! What the leader tells the follower, and what that says.

use std::io::{self, Read, Write};
use std::time::Instant;

use ropewalk::net::UnixStream;

use super::link::Link;
use super::{Taken, cpu_time};
use crate::usage;

/// What the follower is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    /// To send so many messages back.
    Echo(u64),
    /// To take so many messages.
    Take(u64),
    /// To go to this CPU.
    Pin(u64),
    /// To end.
    End,
}

impl Order {
    fn to_bytes(self) -> [u8; 9] {
        let (what, number) = match self {
            Self::Echo(times) => (0, times),
            Self::Take(times) => (1, times),
            Self::Pin(cpu) => (2, cpu),
            Self::End => (3, 0),
        };
        let mut bytes = [what; 9];
        bytes[1..].copy_from_slice(&number.to_ne_bytes());
        bytes
    }

    fn from_bytes([what, number @ ..]: [u8; 9]) -> io::Result<Self> {
        let number = u64::from_ne_bytes(number);
        match what {
            0 => Ok(Self::Echo(number)),
            1 => Ok(Self::Take(number)),
            2 => Ok(Self::Pin(number)),
            3 => Ok(Self::End),
            _ => Err(io::Error::other("there is no such order")),
        }
    }
}

/// The task that counts and times.
pub(super) struct Leader {
    pub(super) link: Box<dyn Link>,
    pub(super) orders: UnixStream,
    /// Whether the follower's CPU time is another process's.
    pub(super) followers_time: bool,
}

impl Leader {
    fn order(&mut self, order: Order) -> io::Result<()> {
        self.orders.write_all(&order.to_bytes())
    }

    /// What the follower says: that it is ready, or what CPU time it took.
    fn answer(&mut self) -> io::Result<u64> {
        let mut bytes = [0; 8];
        self.orders.read_exact(&mut bytes)?;
        Ok(u64::from_ne_bytes(bytes))
    }

    /// Sends so many messages, each when the one before has come back.
    pub(super) fn there_and_back(&mut self, times: u64) -> io::Result<Taken> {
        self.order(Order::Echo(times))?;
        self.answer()?;
        let (start, cpu) = (Instant::now(), cpu_time());
        for _ in 0..times {
            self.link.send()?;
            self.link.receive()?;
        }
        let (time, own) = (start.elapsed(), cpu_time() - cpu);
        let followers = self.answer()?;
        Ok(Taken { time, cpu_ns: own + if self.followers_time { followers } else { 0 } })
    }

    /// Sends so many messages, one after the other, until the follower has taken the last.
    pub(super) fn one_way(&mut self, times: u64) -> io::Result<Taken> {
        self.order(Order::Take(times))?;
        self.answer()?;
        let (start, cpu) = (Instant::now(), cpu_time());
        for _ in 0..times {
            self.link.send()?;
        }
        let followers = self.answer()?;
        let (time, own) = (start.elapsed(), cpu_time() - cpu);
        Ok(Taken { time, cpu_ns: own + if self.followers_time { followers } else { 0 } })
    }

    /// Has the follower go to a CPU.
    pub(super) fn pin_follower(&mut self, cpu: usize) -> io::Result<()> {
        self.order(Order::Pin(cpu as u64))?;
        self.answer().map(drop)
    }

    /// Has the follower end.
    pub(super) fn end(mut self) -> io::Result<()> {
        self.order(Order::End)
    }
}

/// The other task.
pub(super) struct Follower {
    pub(super) link: Box<dyn Link>,
    pub(super) orders: UnixStream,
}

impl Follower {
    /// Does what it is told, until it is told to end, or the leader has gone.
    pub(super) fn follow(mut self) -> io::Result<()> {
        loop {
            let mut bytes = [0; 9];
            match self.orders.read_exact(&mut bytes) {
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
                read => read?,
            }
            match Order::from_bytes(bytes)? {
                Order::Echo(times) => self.timed(times, |link| {
                    link.receive()?;
                    link.send()
                })?,
                Order::Take(times) => self.timed(times, |link| link.receive())?,
                Order::Pin(cpu) => {
                    usage::pin(&[usize::try_from(cpu).map_err(io::Error::other)?])?;
                    self.answer(0)?;
                }
                Order::End => return Ok(()),
            }
        }
    }

    fn answer(&mut self, number: u64) -> io::Result<()> {
        self.orders.write_all(&number.to_ne_bytes())
    }

    fn timed(&mut self, times: u64, each: impl Fn(&mut dyn Link) -> io::Result<()>) -> io::Result<()> {
        self.answer(0)?;
        let cpu = cpu_time();
        (0..times).try_for_each(|_| each(&mut *self.link))?;
        self.answer(cpu_time() - cpu)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_arrives_as_it_was_given() {
        for order in [Order::Echo(u64::MAX), Order::Take(7), Order::Pin(1), Order::End] {
            assert_eq!(Order::from_bytes(order.to_bytes()).unwrap(), order);
        }
        assert!(Order::from_bytes([9; 9]).is_err());
    }
}
