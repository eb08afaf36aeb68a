//! Koji's numeric ids, one type each so that a task id cannot be passed for a build id.

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub i64);
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id!(/// A task of the hub.
    TaskId);
id!(/// A build of the hub.
    BuildId);
id!(/// An event: the hub's clock. Queries that name one event see one consistent state.
    EventId);
id!(/// A yum repository of a tag, generated at one event.
    RepoId);
