//! RPM provenance: header and rpmdb readers, the gate, the proof that every RPM is Koji's.
