//! The build engine: stages over overlay snapshots and an OCI runtime. Knows nothing of Koji or RPM.
