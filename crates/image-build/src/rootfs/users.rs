//! Users and groups as the image's own /etc/passwd and /etc/group name them (passwd(5), group(5)).
//! Asked by RUN (USER), WORKDIR and COPY `--chown`.

use std::io;
use std::path::Path;

use build_model::{Blame, Diagnose, nearest};

use super::RootDir;

/// Longest passwd or group file that is read.
const LIMIT: u64 = 16 << 20;

/// The image's users and groups.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Users {
    passwd: Vec<PasswdLine>,
    group: Vec<GroupLine>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct PasswdLine {
    name: String,
    uid: u32,
    gid: u32,
    home: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct GroupLine {
    name: String,
    gid: u32,
    members: Vec<String>,
}

/// Who a process runs as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ResolvedUser {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Supplementary groups, sorted; the group itself is among them.
    pub(crate) groups: Vec<u32>,
    /// Home directory, where passwd names one.
    pub(crate) home: Option<String>,
}

/// A user or group that the image does not know.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// No such name.
    #[error("the image has no {what} `{name}`")]
    Unknown {
        /// `user` or `group`.
        what: &'static str,
        /// The name.
        name: String,
        /// The nearest name there is.
        suggestion: Option<String>,
    },
    /// Nothing before or after the colon, or a number beyond 32 bits.
    #[error("`{text}` is not a user: write USER, UID, USER:GROUP or UID:GID")]
    Malformed {
        /// The text.
        text: String,
    },
    /// /etc/passwd or /etc/group cannot be read.
    #[error("cannot read {path} of the image")]
    Read {
        /// Which file.
        path: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl Diagnose for UserError {
    fn blame(&self) -> Blame {
        Blame::Packager
    }
    fn kind(&self) -> &'static str {
        match self {
            UserError::Unknown { .. } => "user-unknown",
            UserError::Malformed { .. } => "user-malformed",
            UserError::Read { .. } => "user-files",
        }
    }
    fn hint(&self) -> Option<String> {
        match self {
            UserError::Unknown { suggestion: Some(name), .. } => Some(format!("did you mean `{name}`?")),
            UserError::Unknown { what, .. } => Some(format!("create the {what} in a RUN before this line, or give its number")),
            _ => None,
        }
    }
}

impl Users {
    /// Reads both files of an image; missing ones are empty.
    pub(crate) fn read(root: &RootDir) -> Result<Self, UserError> {
        let text = |path: &'static str| match root.read(Path::new(path), LIMIT) {
            Ok(content) => Ok(String::from_utf8_lossy(&content.unwrap_or_default()).into_owned()),
            Err(source) => Err(UserError::Read { path, source }),
        };
        Ok(Self::parse(&text("/etc/passwd")?, &text("/etc/group")?))
    }

    /// Lines that are not what they should be are skipped, as the C library does.
    pub(crate) fn parse(passwd: &str, group: &str) -> Self {
        let passwd = passwd.lines().filter_map(|line| {
            let mut fields = line.split(':');
            let (name, uid, gid) = (fields.next()?, fields.nth(1)?, fields.next()?);
            let home = fields.nth(1).unwrap_or_default();
            Some(PasswdLine { name: name.into(), uid: uid.parse().ok()?, gid: gid.parse().ok()?, home: home.into() })
        });
        let group = group.lines().filter_map(|line| {
            let mut fields = line.split(':');
            let (name, gid) = (fields.next()?, fields.nth(1)?);
            let members = fields.next().unwrap_or_default().split(',').filter(|m| !m.is_empty()).map(str::to_owned);
            Some(GroupLine { name: name.into(), gid: gid.parse().ok()?, members: members.collect() })
        });
        Self { passwd: passwd.collect(), group: group.collect() }
    }

    /// Who `USER spec` is; an empty text is root. Supplementary groups count only when no group is given.
    ///
    /// # Errors
    /// A name the image does not have.
    pub(crate) fn process_user(&self, spec: &str) -> Result<ResolvedUser, UserError> {
        let (user, group) = split(spec)?;
        let line = match user {
            "" => self.passwd.iter().find(|p| p.uid == 0),
            _ => self.passwd_line(user)?,
        };
        let uid = match (line, user) {
            (Some(line), _) => line.uid,
            (None, "") => 0,
            (None, number) => parse_id(number, spec)?,
        };
        let home = line.map(|l| l.home.clone()).filter(|h| !h.is_empty());
        if let Some(group) = group {
            let gid = self.gid(group, spec)?;
            return Ok(ResolvedUser { uid, gid, groups: vec![gid], home });
        }
        let gid = line.map_or(0, |l| l.gid);
        let mut groups: Vec<u32> = match line {
            Some(line) => self.group.iter().filter(|g| g.members.contains(&line.name)).map(|g| g.gid).collect(),
            None => Vec::new(),
        };
        // As BuildKit and runc since CVE-2022-36109: without it, a set-group-id program could shed the group.
        groups.push(gid);
        groups.sort_unstable();
        groups.dedup();
        Ok(ResolvedUser { uid, gid, groups, home })
    }

    /// Uid and gid of `--chown spec`. A number alone is the group's number too; a name alone has its own group.
    ///
    /// # Errors
    /// A name the image does not have.
    pub(crate) fn owner(&self, spec: &str) -> Result<(u32, u32), UserError> {
        let (user, group) = split(spec)?;
        let user = if user.is_empty() && group.is_some() { "0" } else { user };
        let numeric = is_number(user);
        let (uid, own_gid) = match self.passwd_line(user)? {
            Some(line) if !numeric => (line.uid, line.gid),
            _ => {
                let uid = parse_id(user, spec)?;
                (uid, uid)
            }
        };
        let gid = group.map_or(Ok(own_gid), |group| self.gid(group, spec))?;
        Ok((uid, gid))
    }

    /// The line of a name or number; a number needs none.
    fn passwd_line(&self, user: &str) -> Result<Option<&PasswdLine>, UserError> {
        if let Some(line) = self.passwd.iter().find(|p| p.name == user) {
            return Ok(Some(line));
        }
        if is_number(user) {
            return Ok(self.passwd.iter().find(|p| p.uid.to_string() == user));
        }
        let suggestion = nearest(user, self.passwd.iter().map(|p| p.name.as_str())).map(str::to_owned);
        Err(UserError::Unknown { what: "user", name: user.to_owned(), suggestion })
    }

    fn gid(&self, group: &str, spec: &str) -> Result<u32, UserError> {
        if let Some(line) = self.group.iter().find(|g| g.name == group) {
            return Ok(line.gid);
        }
        if is_number(group) {
            return parse_id(group, spec);
        }
        let suggestion = nearest(group, self.group.iter().map(|g| g.name.as_str())).map(str::to_owned);
        Err(UserError::Unknown { what: "group", name: group.to_owned(), suggestion })
    }
}

fn split(spec: &str) -> Result<(&str, Option<&str>), UserError> {
    match spec.split_once(':') {
        None => Ok((spec, None)),
        // Nothing before the colon is root, as BuildKit and buildah have it.
        Some((user, group)) if !group.is_empty() && !group.contains(':') => Ok((user, Some(group))),
        Some(_) => Err(UserError::Malformed { text: spec.to_owned() }),
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

fn parse_id(text: &str, spec: &str) -> Result<u32, UserError> {
    // u32::MAX means "leave it" to chown(2).
    text.parse().ok().filter(|id| *id != u32::MAX).ok_or_else(|| UserError::Malformed { text: spec.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users() -> Users {
        Users::parse(
            "root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1::/usr/sbin:/bin/false\napp:x:1000:100::/home/app:/bin/sh\nbroken line\n",
            "root:x:0:\ndaemon:x:1:\nusers:x:100:\nwheel:x:10:app,root\naudio:x:5:app\n",
        )
    }

    fn process(spec: &str) -> (u32, u32, Vec<u32>) {
        let user = users().process_user(spec).expect(spec);
        (user.uid, user.gid, user.groups)
    }

    #[test]
    fn user_takes_groups_from_the_image_unless_one_is_given() {
        assert_eq!(process("app"), (1000, 100, vec![5, 10, 100]));
        assert_eq!(process("1000"), (1000, 100, vec![5, 10, 100]));
        assert_eq!(process("app:wheel"), (1000, 10, vec![10]));
        assert_eq!(process("4711"), (4711, 0, vec![0]));
        assert_eq!(process("4711:4712"), (4711, 4712, vec![4712]));
        assert_eq!(process(":wheel"), (0, 10, vec![10]));
        assert_eq!(process(""), (0, 0, vec![0, 10]));
        assert_eq!(users().process_user("app").expect("app").home.as_deref(), Some("/home/app"));
        assert_eq!(Users::default().process_user("").expect("root").uid, 0);
    }

    #[test]
    fn a_number_alone_owns_with_its_own_group() {
        let owner = |spec: &str| users().owner(spec).expect(spec);
        assert_eq!(owner("1000"), (1000, 1000));
        assert_eq!(owner("app"), (1000, 100));
        assert_eq!(owner("daemon:users"), (1, 100));
        assert_eq!(owner("7:8"), (7, 8));
        assert_eq!(owner(":users"), (0, 100));
        assert_eq!(Users::default().owner("7:8").expect("numbers need no files"), (7, 8));
    }

    #[test]
    fn unknown_names_are_named_with_their_neighbour() {
        let err = users().process_user("deamon").expect_err("no such user");
        assert_eq!(
            (err.to_string().as_str(), err.hint().as_deref()),
            ("the image has no user `deamon`", Some("did you mean `daemon`?"))
        );
        for bad in ["app:nogroup", ":", "", "app:", "99999999999", "4294967295", "a:b:c"] {
            assert!(users().owner(bad).is_err(), "{bad}");
        }
    }
}
