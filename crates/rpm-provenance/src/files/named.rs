//! Files that the image's configuration runs: `ENTRYPOINT ["sh", "/srv/notes.txt"]` makes a program of a text.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;

use super::links;
use super::tree::Tree;
use super::variables::{Obeyed, SEARCH_PATH};

/// A command or a variable of the image's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigText {
    /// What it is called in a Dockerfile: `ENTRYPOINT`, `CMD`, `HEALTHCHECK`, `ENV BASH_ENV`.
    pub what: String,
    /// Its words; one for a variable.
    pub words: Vec<String>,
}

/// Programs that run the file they are given.
const INTERPRETERS: [&str; 41] = [
    "sh",
    "bash",
    "dash",
    "ash",
    "ksh",
    "zsh",
    "busybox",
    "env",
    "exec",
    "nohup",
    "setsid",
    "timeout",
    "nice",
    "source",
    ".",
    "python",
    "perl",
    "ruby",
    "node",
    "lua",
    "php",
    "java",
    "awk",
    "gawk",
    "tclsh",
    "make",
    "mawk",
    "sed",
    "expect",
    "wish",
    "guile",
    "Rscript",
    "nodejs",
    "deno",
    "groovy",
    "gdb",
    "vim",
    "emacs",
    "m4",
    "supervisord",
    "uwsgi",
];

impl ConfigText {
    /// The `PATH` among them.
    pub(super) fn search_path(texts: &[ConfigText]) -> Option<&str> {
        let path = texts.iter().find(|text| text.variable() == Some(SEARCH_PATH))?;
        path.words.first().map(String::as_str)
    }

    fn variable(&self) -> Option<&str> {
        self.what.strip_prefix("ENV ")
    }

    /// Whether a variable can make a program load code.
    pub fn is_run(variable: &str) -> bool {
        variable == SEARCH_PATH || Obeyed::of(variable).is_some()
    }

    /// Words that may be paths of files it runs.
    fn candidates(&self) -> Vec<&str> {
        let is_variable = self.variable().is_some();
        let mut found = Vec::new();
        let mut runs_next = true;
        for word in self.words.iter().flat_map(|word| word.split(|c: char| c.is_whitespace() || "'\"`;&|()<>{}=:,".contains(c))) {
            if word.is_empty() {
                continue;
            }
            if is_variable || runs_next {
                found.push(word);
            }
            // An interpreter's options may stand before its file; a file it has run takes the rest as arguments, but in
            // a text of code any word can name another file.
            runs_next = is_interpreter(word) || (runs_next && word.starts_with('-')) || self.is_code();
        }
        found
    }

    /// Whether a word is a text for a shell or another interpreter (`sh -c`, `python3 -c`), and no plain argument.
    fn is_code(&self) -> bool {
        self.words.iter().any(|word| word.contains(|c: char| c.is_whitespace() || "'\"`;&|()<>{}$".contains(c)))
    }
}

fn is_interpreter(word: &str) -> bool {
    let name = word.rsplit('/').next().unwrap_or_default();
    let bare = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    INTERPRETERS.contains(&name) || INTERPRETERS.contains(&bare)
}

/// What the configuration has programs obey, and the image does not have, or anybody may put there.
pub(super) struct Absent {
    pub path: Vec<u8>,
    /// Who obeys it, and what is wrong.
    pub runs: String,
    pub is_anybody_s: bool,
}

/// Files and directories of an image that its configuration names, by canonical path, each with what runs it.
#[derive(Default)]
pub(super) struct Named {
    files: HashMap<Vec<u8>, String>,
    directories: Vec<(Vec<u8>, String)>,
    /// Those that are not there.
    pub absent: Vec<Absent>,
}

impl Named {
    /// Looks for what `texts` name, from the working directory `dir`.
    pub fn gather(texts: &[ConfigText], dir: &str, tree: &mut Tree) -> Result<Self, (PathBuf, io::Error)> {
        let mut found = Self::default();
        for text in texts {
            let obeyed = text.variable().and_then(Obeyed::of);
            if text.variable() != Some(SEARCH_PATH) {
                for word in text.candidates() {
                    let place = tree.canonical_dir(from(dir, word).as_bytes())?.to_vec();
                    let runs = format!("{} runs it", text.what);
                    if obeyed.is_some_and(Obeyed::is_directory) && tree.is_directory(&place)? {
                        found.directories.push((place, runs));
                    } else {
                        found.files.entry(place).or_insert(runs);
                    }
                }
            }
            let paths = text.variable().map(|name| Obeyed::paths(name, text.words.first().map_or("", String::as_str)));
            for word in paths.into_iter().flatten() {
                found.look_for(text, word, dir, tree)?;
            }
        }
        Ok(found)
    }

    /// Notes a path that the image does not have, or anybody may put something at.
    fn look_for(&mut self, text: &ConfigText, word: &str, dir: &str, tree: &mut Tree) -> Result<(), (PathBuf, io::Error)> {
        let is_search_path = text.variable() == Some(SEARCH_PATH);
        let is_library = !word.contains('/') && matches!(text.variable(), Some("LD_PRELOAD" | "LD_AUDIT"));
        let path = if is_library { word.to_owned() } else { from(dir, word) };
        let place = if is_library { path.clone().into_bytes() } else { tree.canonical_dir(path.as_bytes())?.to_vec() };
        let is_anybody_s = !is_library && (links::is_anybody_s(&place) || links::is_anybody_s(&[&place[..], b"/"].concat()));
        // Where a container has what it is given; and what the kernel has.
        let is_given = [&b"/run/"[..], b"/var/run/", b"/sys/"].iter().any(|dir| place.starts_with(dir));
        if place == b"/dev/null" {
            return Ok(());
        }
        let is_there = if is_library { is_in_libraries(word, tree)? } else { tree.entry(&place)?.is_some() || place.is_empty() };
        let problem = match (is_anybody_s && !is_given, is_there) {
            (true, _) => "where anybody may write",
            // A directory of commands that is not there yet is usual, and a command is a file of its own.
            (false, false) if !is_search_path => "which is not in the image",
            _ => return Ok(()),
        };
        let runs = format!("{} names it, {problem}", text.what);
        self.absent.push(Absent { path: place, runs, is_anybody_s: is_anybody_s && !is_given });
        Ok(())
    }

    /// What runs the file at `path`.
    pub fn runs(&self, path: &[u8]) -> Option<&String> {
        let below = |directory: &[u8]| path.strip_prefix(directory).is_some_and(|rest| rest.starts_with(b"/"));
        let of_directory = || self.directories.iter().find(|(directory, _)| below(directory)).map(|(_, runs)| runs);
        self.files.get(path).or_else(of_directory)
    }
}

/// A path as a program in the working directory `dir` takes it.
fn from(dir: &str, word: &str) -> String {
    if word.starts_with('/') { word.to_owned() } else { format!("{dir}/{word}") }
}

/// Where the loader looks for a library by its name alone.
const LIBRARIES: [&str; 11] = [
    "/usr/lib64",
    "/usr/lib",
    "/lib64",
    "/lib",
    "/usr/local/lib64",
    "/usr/local/lib",
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib/powerpc64le-linux-gnu",
    "/usr/lib/s390x-linux-gnu",
    "/usr/lib/i386-linux-gnu",
];

fn is_in_libraries(name: &str, tree: &mut Tree) -> Result<bool, (PathBuf, io::Error)> {
    for dir in LIBRARIES {
        let place = tree.canonical_dir(format!("{dir}/{name}").as_bytes())?;
        if tree.entry(&place)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidates(words: &[&str]) -> Vec<String> {
        let text = ConfigText { what: "ENTRYPOINT".into(), words: words.iter().map(|w| (*w).to_owned()).collect() };
        text.candidates().into_iter().map(str::to_owned).collect()
    }

    #[test]
    fn the_command_and_what_an_interpreter_is_given_are_run_and_other_arguments_are_not() {
        assert_eq!(candidates(&["nginx", "-c", "/etc/app.conf"]), ["nginx"]);
        assert_eq!(candidates(&["/usr/bin/sh", "/srv/notes.txt", "/srv/data"]), ["/usr/bin/sh", "/srv/notes.txt"]);
        assert_eq!(candidates(&["python3.11", "-I", "app"]), ["python3.11", "-I", "app"]);
        assert!(candidates(&["/bin/sh", "-c", "cd /srv && . ./notes"]).contains(&"./notes".to_owned()));
        assert!(candidates(&["python3", "-c", "exec(open('/srv/notes').read())"]).contains(&"/srv/notes".to_owned()));
        assert!(candidates(&["tini", "--", "perl", "/srv/notes"]).contains(&"/srv/notes".to_owned()));
    }

    #[test]
    fn a_variable_that_loads_code_names_all_its_files() {
        let text = ConfigText { what: "ENV LD_PRELOAD".into(), words: vec!["/srv/a:/srv/b".into()] };
        assert_eq!(text.candidates(), ["/srv/a", "/srv/b"]);
        assert!(ConfigText::is_run("LD_PRELOAD") && !ConfigText::is_run("LANG"));
    }
}
