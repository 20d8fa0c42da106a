//! What the process opens and must close, and what must be closed before what: the one list from
//! which the order of closing comes.

use crate::shutdown::stage::Stage;

/// Something that is opened at start or later, and closed at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// Sockets that accept connections.
    Listeners,
    /// The process that writes a snapshot, its pipe and its temporary file.
    Child,
    /// Clients' sockets.
    Clients,
    /// Replicas' sockets.
    Replicas,
    /// The name of the unix socket.
    UnixSocketFile,
    /// The file with the process's number.
    PidFile,
    /// Shards' rings and bells.
    Shards,
    /// The descriptor that signals are read from.
    Signals,
    /// The supervisor, which is told of readiness and of the end.
    Supervisor,
    /// The port that serves metrics, and its connections.
    Metrics,
    /// The log.
    Log,
}

/// How a resource is closed.
#[derive(Debug)]
pub struct Entry {
    /// The resource.
    pub resource: Resource,
    /// The stage that closes it; `None` for what serves to the very end.
    pub stage: Option<Stage>,
    /// What uses it, and so is closed before it.
    pub after: &'static [Resource],
    /// What shows from outside that it is open: beginnings of what descriptors in `/proc` point
    /// to, and ends of names of files.
    pub traces: &'static [&'static str],
}

/// All resources, in no particular order: [`order`] finds one.
pub const RESOURCES: &[Entry] = &[
    Entry {
        resource: Resource::Log,
        stage: None,
        after: &[Resource::Supervisor, Resource::Signals],
        traces: &["stdio", ".log"],
    },
    Entry {
        resource: Resource::Listeners,
        stage: Some(Stage::Clients),
        after: &[],
        // Each is watched by an epoll instance.
        traces: &["listening socket", "anon_inode:[eventpoll]"],
    },
    Entry {
        resource: Resource::Clients,
        stage: Some(Stage::Clients),
        // No client connects while the server closes those that are there.
        after: &[Resource::Listeners],
        traces: &["socket"],
    },
    Entry {
        resource: Resource::Replicas,
        stage: Some(Stage::Clients),
        // Until then the end may fail, and replicas go on.
        after: &[Resource::Clients],
        traces: &["socket"],
    },
    Entry {
        resource: Resource::Child,
        stage: Some(Stage::Child),
        after: &[],
        traces: &["anon_inode:[pidfd]", "pipe", ".rdb"],
    },
    Entry {
        resource: Resource::UnixSocketFile,
        stage: Some(Stage::Files),
        after: &[Resource::Listeners],
        traces: &[".sock"],
    },
    Entry {
        resource: Resource::PidFile,
        stage: Some(Stage::Files),
        after: &[Resource::Clients, Resource::Child],
        traces: &[".pid"],
    },
    Entry {
        resource: Resource::Shards,
        stage: Some(Stage::Shards),
        after: &[Resource::Listeners, Resource::Clients, Resource::Replicas, Resource::Child],
        // The executor of each thread has rings and bells of its own.
        traces: &["anon_inode:[io_uring]", "anon_inode:[eventfd]"],
    },
    Entry {
        resource: Resource::Signals,
        stage: None,
        // A second SIGINT is obeyed as long as there is anything to wait for.
        after: &[Resource::Shards, Resource::Child],
        traces: &["anon_inode:[signalfd]"],
    },
    Entry {
        resource: Resource::Metrics,
        stage: None,
        // As long as there is anything to see, a scrape shows how far the end has come.
        after: &[Resource::Shards, Resource::Child],
        traces: &["metrics socket"],
    },
    Entry {
        resource: Resource::Supervisor,
        stage: None,
        after: &[Resource::Shards, Resource::Metrics, Resource::PidFile],
        traces: &[],
    },
];

/// All resources in an order in which they can be closed: by stage, and within one after whatever
/// uses them.
///
/// # Panics
/// If the list allows no order.
pub fn order() -> Vec<Resource> {
    let mut closed: Vec<Resource> = Vec::new();
    let stages = Stage::ALL.into_iter().map(Some).chain([None]);
    for stage in stages {
        let mut left: Vec<&Entry> = RESOURCES.iter().filter(|entry| entry.stage == stage).collect();
        while !left.is_empty() {
            let free = |entry: &&Entry| entry.after.iter().all(|user| closed.contains(user));
            let at = left.iter().position(free).expect("the list has no circle");
            closed.push(left.remove(at).resource);
        }
    }
    closed
}

/// What a stage closes, in order.
pub fn closed_in(stage: Stage) -> Vec<Resource> {
    let is_its = |resource: &Resource| {
        let entry = RESOURCES.iter().find(|entry| entry.resource == *resource);
        entry.is_some_and(|entry| entry.stage == Some(stage))
    };
    order().into_iter().filter(is_its).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_closed_once_and_after_what_uses_it() {
        let order = order();
        let place = |resource: &Resource| {
            let mut places = order.iter().enumerate().filter(|(_, other)| *other == resource);
            let (first, second) = (places.next(), places.next());
            assert!(second.is_none(), "{resource:?} is closed twice");
            first.unwrap_or_else(|| panic!("{resource:?} is not closed")).0
        };
        for entry in RESOURCES {
            for user in entry.after {
                assert!(place(user) < place(&entry.resource), "{user:?}, {:?}", entry.resource);
            }
        }
        assert_eq!(order.len(), RESOURCES.len());
    }

    #[test]
    fn stages_close_what_is_theirs() {
        assert_eq!(closed_in(Stage::Child), [Resource::Child]);
        assert_eq!(
            closed_in(Stage::Clients),
            [Resource::Listeners, Resource::Clients, Resource::Replicas]
        );
        assert_eq!(closed_in(Stage::Files), [Resource::UnixSocketFile, Resource::PidFile]);
        assert_eq!(closed_in(Stage::Shards), [Resource::Shards]);
        assert_eq!(closed_in(Stage::Drain), []);
    }
}
