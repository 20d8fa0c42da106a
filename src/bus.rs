//! The cluster bus: sockets and the file of a node, for the machine of the room `cluster`. What
//! comes in are actions, what goes out are events. Nothing here decides, and nothing here waits:
//! sockets do not block, and the file is written by a thread of its own.

pub mod buffers;
pub mod link;
pub mod links;
pub mod file;
