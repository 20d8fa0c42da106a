//! CONFIG SET parameter value [parameter value ...]

use std::env;

use shards::commands::spec::{Arity, Spec};
use shards::resp::error::Error;

use crate::commands::config::{EACH, ON_ALL_NODES};
use crate::commands::own::{Own, OwnRun};
use crate::config::choices::Caller;
use crate::config::live::{Applied, ConfigError};
use crate::config::table::Config;
use crate::control::core::Control;
use crate::control::ctx::{ControlCtx, Outcome};
use crate::log;
use crate::process::listening::Change;
use crate::process::plain;
use crate::reactor::allocator::used_memory;
use crate::reactor::limits;

pub(super) const SET: Own = Own {
    spec: Spec {
        name: "config|set",
        summary: "Changes settings: all of them or none.",
        complexity: "O(N), N being the number of settings.",
        syntax: "parameter value [parameter value ...]",
        arity: Arity::AtLeast(4),
        tips: ON_ALL_NODES,
        ..EACH
    },
    run: OwnRun::Control(set),
};

/// Settings that take other sockets to listen on, and what is said when these cannot be had.
const OF_LISTENERS: [(&str, &str); 3] = [
    ("port", "Unable to listen on this port. Check server logs."),
    ("bind", "Failed to bind to specified addresses."),
    ("unixsocket", "Unable to listen on this path. Check server logs."),
];

fn set(ctx: &mut ControlCtx<'_>) -> Result<Outcome, Error> {
    let words = &ctx.args[2..];
    if !words.len().is_multiple_of(2) {
        return Err(Error::Syntax);
    }
    let pairs: Vec<(&[u8], &[u8])> = words.chunks(2).map(|pair| (pair[0], pair[1])).collect();
    let caller = if ctx.local { Caller::Local } else { Caller::Remote };
    let applied = ctx.control.node.config.set(&pairs, caller);
    let Applied { mut config, changed, warnings } = applied.map_err(refused)?;
    let listeners = find_listeners(ctx.control, &config, &changed).map_err(refused)?;
    if let Err(error) = take_effect(&mut config, &changed, ctx.control.shards()) {
        listeners.into_iter().for_each(|(change, _)| change.undo());
        return Err(refused(error));
    }
    if let Some((change, fail)) = listeners {
        ctx.control.listen(change).map_err(|_| refused(fail))?;
    }
    for warning in warnings {
        log::warning(&warning);
    }
    if changed.contains(&"maxmemory") && config.maxmemory != 0 && config.maxmemory < used_memory() {
        log::warning(&format!(
            "The new maxmemory value set via CONFIG SET ({}) is smaller than the current memory \
             usage ({}). This will result in key eviction and/or the inability to accept new write \
             commands depending on the maxmemory-policy.",
            config.maxmemory,
            used_memory()
        ));
    }
    let order = ctx.control.configure(config);
    Ok(Outcome::Ask(order, |ctx, _| {
        ctx.replies.ok();
        Ok(())
    }))
}

fn refused(error: ConfigError) -> Error {
    Error::Owned(error.to_string())
}

/// Opens what is to be listened on from now on, if that changes, with what to say should it fail
/// all the same. Nothing is in force yet.
fn find_listeners(
    control: &Control,
    config: &Config,
    changed: &[&str],
) -> Result<Option<(Change, ConfigError)>, ConfigError> {
    let Some((name, reason)) = OF_LISTENERS.iter().find(|(name, _)| changed.contains(name)) else {
        return Ok(None);
    };
    let fail = ConfigError::Failed { name: (*name).to_owned(), reason: (*reason).to_owned() };
    match control.listening.prepare(config, control.process.unix_socket.get().as_deref()) {
        Some(change) => Ok(Some((change, fail))),
        None => Err(fail),
    }
}

/// Does what a change asks of the system, or says which setting cannot have its value.
fn take_effect(config: &mut Config, changed: &[&str], shards: usize) -> Result<(), ConfigError> {
    let fail =
        |name: &str, reason: String| Err(ConfigError::Failed { name: name.to_owned(), reason });
    if changed.contains(&"maxclients") {
        let clients = limits::allow_clients(config.maxclients, shards);
        if clients < config.maxclients {
            return fail(
                "maxclients",
                format!(
                    "The operating system is not able to handle the specified number of clients, \
                     try with {clients}"
                ),
            );
        }
    }
    if changed.contains(&"dir") {
        if let Err(error) = env::set_current_dir(&config.dir) {
            return fail("dir", plain(&error));
        }
        // What is relative now would be relative to itself the next time.
        config.dir = env::current_dir().unwrap_or_else(|_| config.dir.clone());
    }
    Ok(())
}
