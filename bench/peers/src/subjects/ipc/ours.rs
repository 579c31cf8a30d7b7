//! Ropewalk's rings and channels, each end in a thread of its process.

use std::io;
use std::time::Duration;

use ropewalk::ipc::ring::{Builder, Many, Message, One, Receiver, Sender, Side, WaitPolicy};
use ropewalk::{ipc, process, thread};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::pair::{Cost, Course, Wake, Way, follow, lead, number_of, stamp};
use crate::rivals::on_ropewalk;

/// How many ends there are on each side.
trait Ends: Side + Sized {
    fn build<M: Message + ?Sized>(builder: Builder<'_>) -> io::Result<(Sender<M, Self>, Receiver<M, Self>)>;
}

impl Ends for One {
    fn build<M: Message + ?Sized>(builder: Builder<'_>) -> io::Result<(Sender<M, Self>, Receiver<M, Self>)> {
        builder.spsc()
    }
}

impl Ends for Many {
    fn build<M: Message + ?Sized>(builder: Builder<'_>) -> io::Result<(Sender<M, Self>, Receiver<M, Self>)> {
        builder.mpmc()
    }
}

/// Two ends, and how messages go through them.
trait Through<E: Ends>: Way + Sized + 'static {
    type Message: Message + ?Sized;

    fn builder(course: Course) -> Builder<'static>;
    fn new(course: Course, sends: Sender<Self::Message, E>, receives: Receiver<Self::Message, E>) -> Self;
}

/// A value of this size, that is returned by value.
struct Values<E: Ends, const N: usize> {
    sends: Sender<[u8; N], E>,
    receives: Receiver<[u8; N], E>,
    message: [u8; N],
}

impl<E: Ends, const N: usize> Way for Values<E, N> {
    fn send(&mut self, number: u64) {
        stamp(&mut self.message, number);
        self.sends.send(&self.message).expect("the other side receives");
    }

    fn receive(&mut self) -> u64 {
        self.message = self.receives.recv().expect("the other side sends");
        number_of(&self.message)
    }
}

impl<E: Ends, const N: usize> Through<E> for Values<E, N> {
    type Message = [u8; N];

    fn builder(course: Course) -> Builder<'static> {
        Builder::new(course.room())
    }

    fn new(_: Course, sends: Sender<[u8; N], E>, receives: Receiver<[u8; N], E>) -> Self {
        Self { sends, receives, message: [7; N] }
    }
}

/// What is too large for that: copied out of one buffer, and into another.
struct Slices<E: Ends> {
    sends: Sender<[u8], E>,
    receives: Receiver<[u8], E>,
    message: Vec<u8>,
}

impl<E: Ends> Way for Slices<E> {
    fn send(&mut self, number: u64) {
        stamp(&mut self.message, number);
        self.sends.send(&self.message).expect("the other side receives");
    }

    fn receive(&mut self) -> u64 {
        self.receives.recv_ref().expect("the other side sends").read_at(0, &mut self.message);
        number_of(&self.message)
    }
}

impl<E: Ends> Through<E> for Slices<E> {
    type Message = [u8];

    fn builder(course: Course) -> Builder<'static> {
        Builder::new(course.room()).max_len(course.size)
    }

    fn new(course: Course, sends: Sender<[u8], E>, receives: Receiver<[u8], E>) -> Self {
        Self { sends, receives, message: vec![7; course.size] }
    }
}

/// Made where it is read.
struct InPlace {
    sends: Sender<[u8], One>,
    receives: Receiver<[u8], One>,
}

impl Way for InPlace {
    fn send(&mut self, number: u64) {
        let mut loan = self.sends.loan().expect("the other side receives");
        // SAFETY: both ends are this program's, and keep to the rules.
        stamp(unsafe { loan.as_mut_unchecked() }, number);
        loan.publish();
    }

    fn receive(&mut self) -> u64 {
        let message = self.receives.recv_ref().expect("the other side sends");
        // SAFETY: as above.
        number_of(unsafe { message.as_ref_unchecked() })
    }
}

impl Through<One> for InPlace {
    type Message = [u8];

    fn builder(course: Course) -> Builder<'static> {
        Builder::new(course.room()).max_len(course.size)
    }

    fn new(_: Course, sends: Sender<[u8], One>, receives: Receiver<[u8], One>) -> Self {
        Self { sends, receives }
    }
}

/// What the other process is told.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Order {
    course: Course,
    operations: u64,
    is_adaptive: bool,
}

impl Order {
    fn policy(self) -> WaitPolicy {
        match self.course.wake {
            Wake::Spinning => WaitPolicy::Spin,
            Wake::Sleeping if self.is_adaptive => WaitPolicy::Adaptive,
            Wake::Sleeping => WaitPolicy::Sleep,
        }
    }

    fn way<E: Ends, T: Through<E>>(
        self,
        mut sends: Sender<T::Message, E>,
        mut receives: Receiver<T::Message, E>,
    ) -> T {
        sends.set_wait_policy(self.policy());
        receives.set_wait_policy(self.policy());
        T::new(self.course, sends, receives)
    }
}

/// In a thread: a coroutine would share its worker.
fn in_thread<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> T {
    thread::spawn(body).join().expect("it returns")
}

type Theirs<M, E> = (Order, Sender<M, E>, Receiver<M, E>);

fn following<E: Ends, T: Through<E>>((order, sends, receives): Theirs<T::Message, E>) -> Duration {
    in_thread(move || follow(order.course, order.operations, &mut order.way::<E, T>(sends, receives)))
}

fn through<E: Ends, T: Through<E>>(course: Course, operations: u64, is_adaptive: bool) -> Cost {
    let order = Order { course, operations, is_adaptive };
    on_ropewalk(1, move || {
        let ring = || E::build::<T::Message>(T::builder(course)).expect("a ring");
        let ((to, there), (answer, back)) = (ring(), ring());
        let other = process::spawn(following::<E, T>, (order, answer, there)).expect("a process");
        let mut cost = in_thread(move || lead(course, operations, &mut order.way::<E, T>(to, back)));
        cost.cpu += other.join().expect("it comes through");
        cost
    })
}

pub(super) fn one_to_one<const N: usize>(course: Course, operations: u64) -> Cost {
    match N {
        0 => through::<One, Slices<One>>(course, operations, false),
        _ => through::<One, Values<One, N>>(course, operations, false),
    }
}

pub(super) fn adaptive<const N: usize>(course: Course, operations: u64) -> Cost {
    match N {
        0 => through::<One, Slices<One>>(course, operations, true),
        _ => through::<One, Values<One, N>>(course, operations, true),
    }
}

pub(super) fn many_to_many<const N: usize>(course: Course, operations: u64) -> Cost {
    match N {
        0 => through::<Many, Slices<Many>>(course, operations, false),
        _ => through::<Many, Values<Many, N>>(course, operations, false),
    }
}

pub(super) fn in_place(course: Course, operations: u64) -> Cost {
    through::<One, InPlace>(course, operations, false)
}

/// Messages of a type that serde knows, here bytes.
struct Packets {
    sends: ipc::Sender<ByteBuf>,
    receives: ipc::Receiver<ByteBuf>,
    size: usize,
    /// A message is sent for good: the last one that came is the next one that goes.
    spare: Option<ByteBuf>,
}

impl Way for Packets {
    fn send(&mut self, number: u64) {
        let mut message = self.spare.take().unwrap_or_else(|| ByteBuf::from(vec![7; self.size]));
        stamp(&mut message, number);
        self.sends.send(message).expect("the other side receives");
    }

    fn receive(&mut self) -> u64 {
        let message = self.receives.recv().expect("the other side sends");
        let number = number_of(&message);
        self.spare = Some(message);
        number
    }
}

type ChannelEnds = (Course, u64, ipc::Sender<ByteBuf>, ipc::Receiver<ByteBuf>);

fn following_channel((course, operations, sends, receives): ChannelEnds) -> Duration {
    let mut way = Packets { sends, receives, size: course.size, spare: None };
    in_thread(move || follow(course, operations, &mut way))
}

/// How many bytes it has room for: as a pipe's 1 MiB.
const CHANNEL_ROOM: usize = 1 << 20;

pub(super) fn channel(course: Course, operations: u64) -> Cost {
    on_ropewalk(1, move || {
        let make = || ipc::channel(CHANNEL_ROOM).expect("a channel");
        let ((sends, there), (answer, receives)) = (make(), make());
        let other =
            process::spawn(following_channel, (course, operations, answer, there)).expect("a process");
        let mut way = Packets { sends, receives, size: course.size, spare: None };
        let mut cost = in_thread(move || lead(course, operations, &mut way));
        cost.cpu += other.join().expect("it comes through");
        cost
    })
}
