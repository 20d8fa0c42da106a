//! Everything that talks to the kernel: the data ring, its buffers, sockets, clocks, signals, the
//! allocator. The only `unsafe` of this crate is below here.

pub mod allocator;
pub mod blocks;
pub mod buffers;
pub mod clock;
pub mod cpus;
pub mod crash;
pub mod fork;
pub mod gate;
pub mod heap;
pub mod huge_pages;
pub mod limits;
pub mod mapping;
pub mod own_path;
pub mod queue;
pub mod ring;
pub mod signals;
pub mod sockets;
pub mod streams;
pub mod system;
pub mod wake;
