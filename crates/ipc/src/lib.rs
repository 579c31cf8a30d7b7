//! What goes between processes: messages, the descriptors that travel in them, and memory that is shared.
//!
//! A [`link::Link`] carries messages between a parent and its child; [`message`] turns a value into one and back, and
//! the descriptors that the value holds ([`message::Descriptor`]) go along. Both wait through the park seam, and both
//! distrust their peer as far as length, number and form go: a peer that lies gets an error, nothing more. What a type
//! looks like in a message, [`schema`] tells. A [`channel`] carries messages of one type between any tasks of any
//! processes; what goes over a connection to another machine, [`frame`] says. A
//! [`segment::Segment`] is memory that several processes have at once; it travels as its descriptor. A
//! [`queue::MessageQueue`] is the kernel's, under a name.

pub mod channel;
mod crash;
pub mod frame;
pub mod link;
pub mod message;
mod packet;
pub mod queue;
pub mod schema;
pub mod segment;
pub mod shared;
