//! The processor's registers at a fault.

use std::fmt::{self, Write};

use crate::reactor::crash::out::Out;

/// The registers that are shown, and where the system keeps them.
#[cfg(target_arch = "x86_64")]
const REGISTERS: [(&str, libc::c_int); 18] = [
    ("RAX", libc::REG_RAX),
    ("RBX", libc::REG_RBX),
    ("RCX", libc::REG_RCX),
    ("RDX", libc::REG_RDX),
    ("RDI", libc::REG_RDI),
    ("RSI", libc::REG_RSI),
    ("RBP", libc::REG_RBP),
    ("RSP", libc::REG_RSP),
    ("R8 ", libc::REG_R8),
    ("R9 ", libc::REG_R9),
    ("R10", libc::REG_R10),
    ("R11", libc::REG_R11),
    ("R12", libc::REG_R12),
    ("R13", libc::REG_R13),
    ("R14", libc::REG_R14),
    ("R15", libc::REG_R15),
    ("RIP", libc::REG_RIP),
    ("EFL", libc::REG_EFL),
];

/// The address of the instruction that was at work.
#[cfg(target_arch = "x86_64")]
pub(super) fn instruction(context: &libc::ucontext_t) -> Option<u64> {
    register(context, libc::REG_RIP)
}

/// Two registers in a line.
#[cfg(target_arch = "x86_64")]
pub(super) fn write(out: &mut Out, context: &libc::ucontext_t) -> fmt::Result {
    for pair in REGISTERS.chunks(2) {
        for (name, place) in pair {
            write!(out, "{name}:{:016x} ", register(context, *place).unwrap_or(0))?;
        }
        writeln!(out)?;
    }
    Ok(())
}

#[cfg(target_arch = "x86_64")]
fn register(context: &libc::ucontext_t, place: libc::c_int) -> Option<u64> {
    let value = context.uc_mcontext.gregs.get(usize::try_from(place).ok()?)?;
    Some(value.cast_unsigned())
}

/// Not known on this processor.
#[cfg(not(target_arch = "x86_64"))]
pub(super) fn instruction(_: &libc::ucontext_t) -> Option<u64> {
    None
}

/// Says that they are not known on this processor.
#[cfg(not(target_arch = "x86_64"))]
pub(super) fn write(out: &mut Out, _: &libc::ucontext_t) -> fmt::Result {
    writeln!(out, "Registers are only known on x86-64.")
}
