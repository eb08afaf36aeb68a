//! File capabilities: the text a package declares (FILECAPS, as `getcap` prints it) and the attribute a file has
//! (`struct vfs_cap_data` of linux/capability.h).

/// Names in the order of their numbers.
const NAMES: [&str; 41] = [
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
    "mac_override",
    "mac_admin",
    "syslog",
    "wake_alarm",
    "block_suspend",
    "audit_read",
    "perfmon",
    "bpf",
    "checkpoint_restore",
];
const ALL: u64 = (1 << NAMES.len()) - 1;

/// Permitted and inheritable sets, and whether they take effect at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Capabilities {
    permitted: u64,
    inheritable: u64,
    effective: bool,
}

impl Capabilities {
    /// The attribute's bytes; `None` when they are none.
    pub fn of_attribute(bytes: &[u8]) -> Option<Self> {
        let word = |n: usize| Some(u32::from_le_bytes(bytes.get(4 * n..4 * n + 4)?.try_into().ok()?));
        let magic = word(0)?;
        let wide = match magic >> 24 {
            1 => false,
            2 | 3 => true,
            _ => return None,
        };
        let high = |n: usize| if wide { word(n).map(u64::from) } else { Some(0) };
        Some(Self {
            permitted: u64::from(word(1)?) | high(3)? << 32,
            inheritable: u64::from(word(2)?) | high(4)? << 32,
            effective: magic & 1 != 0,
        })
    }

    /// The text form: clauses `cap_a,cap_b=ep` or `cap_a+ep`. `None` for what is not understood, which then equals nothing.
    pub fn of_text(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let (mut permitted, mut inheritable, mut effective) = (0u64, 0u64, 0u64);
        for clause in text.split_whitespace() {
            let at = clause.find(['=', '+', '-'])?;
            let (names, rest) = clause.split_at(at);
            let mut mask = 0u64;
            for name in names.split(',').filter(|n| !n.is_empty()) {
                let name = name.to_ascii_lowercase();
                let bare = name.strip_prefix("cap_").unwrap_or(&name);
                mask |= if bare == "all" { ALL } else { 1 << NAMES.iter().position(|n| *n == bare)? };
            }
            if names.is_empty() {
                mask = ALL;
            }
            let mut operation = '=';
            for letter in rest.chars() {
                match letter {
                    '=' | '+' | '-' => {
                        operation = letter;
                        if letter == '=' {
                            (permitted, inheritable, effective) = (permitted & !mask, inheritable & !mask, effective & !mask);
                        }
                        continue;
                    }
                    _ => {}
                }
                let set = match letter {
                    'p' => &mut permitted,
                    'i' => &mut inheritable,
                    'e' => &mut effective,
                    _ => return None,
                };
                *set = if operation == '-' { *set & !mask } else { *set | mask };
            }
        }
        Some(Self { permitted, inheritable, effective: effective != 0 })
    }

    /// As people write them.
    pub fn describe(self) -> String {
        let names: Vec<String> = NAMES
            .iter()
            .enumerate()
            .filter(|(bit, _)| (self.permitted | self.inheritable) >> bit & 1 == 1)
            .map(|(_, name)| format!("cap_{name}"))
            .collect();
        names.join(",")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_attribute_of_the_same_capabilities_are_equal() {
        // setcap cap_net_raw,cap_net_admin=ep
        let attribute = [1, 0, 0, 2, 0, 0x30, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let found = Capabilities::of_attribute(&attribute).expect("an attribute");
        for text in ["cap_net_raw,cap_net_admin=ep", "cap_net_raw+ep cap_net_admin=ep", "= cap_net_admin,cap_net_raw+pe"] {
            assert_eq!(Capabilities::of_text(text.as_bytes()), Some(found), "{text}");
        }
        assert_ne!(Capabilities::of_text(b"cap_net_raw=ep"), Some(found));
        assert_eq!(found.describe(), "cap_net_admin,cap_net_raw");
        assert_eq!(Capabilities::of_text(b"cap_nonsense=ep"), None);
        assert_eq!(Capabilities::of_attribute(&[0, 0, 0, 9]), None);
    }
}
