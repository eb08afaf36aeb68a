//! Files that the image's configuration runs: `ENTRYPOINT ["sh", "/srv/notes.txt"]` makes a program of a text.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;

use super::tree::Tree;

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
/// Variables by which programs load code.
const VARIABLES: [&str; 47] = [
    "BASH_ENV",
    "ENV",
    "LD_PRELOAD",
    "LD_AUDIT",
    "PYTHONSTARTUP",
    "PYTHONPATH",
    "PERL5OPT",
    "PERL5LIB",
    "RUBYOPT",
    "NODE_OPTIONS",
    "JAVA_TOOL_OPTIONS",
    "JDK_JAVA_OPTIONS",
    "CLASSPATH",
    "PROMPT_COMMAND",
    "GCONV_PATH",
    "OPENSSL_CONF",
    "GIT_SSH_COMMAND",
    "LESSOPEN",
    "LD_LIBRARY_PATH",
    "PYTHONHOME",
    "PYTHONUSERBASE",
    "PERL5DB",
    "RUBYLIB",
    "NODE_PATH",
    "LUA_INIT",
    "LUA_PATH",
    "_JAVA_OPTIONS",
    "PHPRC",
    "PHP_INI_SCAN_DIR",
    "TCLLIBPATH",
    "R_PROFILE",
    "MAKEFILES",
    "ZDOTDIR",
    "VIMINIT",
    "EXINIT",
    "OPENSSL_MODULES",
    "OPENSSL_ENGINES",
    "GIT_CONFIG_GLOBAL",
    "GIT_EXEC_PATH",
    "DOTNET_STARTUP_HOOKS",
    "RPM_CONFIGDIR",
    // Whom programs believe.
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "CURL_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "GIT_SSL_CAINFO",
];
/// Of these the ones whose directories count with every file in them, whatever its name.
const OF_DIRECTORIES: [&str; 5] = ["RPM_CONFIGDIR", "GCONV_PATH", "SSL_CERT_DIR", "PHP_INI_SCAN_DIR", "ZDOTDIR"];

impl ConfigText {
    /// Whether a variable can make a program load code.
    pub fn is_run(variable: &str) -> bool {
        VARIABLES.contains(&variable)
    }

    /// Words that may be paths of files it runs.
    fn candidates(&self) -> Vec<&str> {
        let is_variable = self.what.starts_with("ENV ");
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

/// Files and directories of an image that its configuration names, by canonical path, each with what runs it.
#[derive(Default)]
pub(super) struct Named {
    files: HashMap<Vec<u8>, String>,
    directories: Vec<(Vec<u8>, String)>,
}

impl Named {
    /// Looks for what `texts` name, from the working directory `dir`.
    pub fn gather(texts: &[ConfigText], dir: &str, tree: &mut Tree) -> Result<Self, (PathBuf, io::Error)> {
        let mut found = Self::default();
        for text in texts {
            let of_directories = text.what.strip_prefix("ENV ").is_some_and(|name| OF_DIRECTORIES.contains(&name));
            for word in text.candidates() {
                let path = if word.starts_with('/') { word.to_owned() } else { format!("{dir}/{word}") };
                let place = tree.canonical_dir(path.as_bytes())?.to_vec();
                let runs = format!("{} runs it", text.what);
                if of_directories && tree.is_directory(&place)? {
                    found.directories.push((place, runs));
                } else {
                    found.files.entry(place).or_insert(runs);
                }
            }
        }
        Ok(found)
    }

    /// What runs the file at `path`.
    pub fn runs(&self, path: &[u8]) -> Option<&String> {
        let below = |directory: &[u8]| path.strip_prefix(directory).is_some_and(|rest| rest.starts_with(b"/"));
        let of_directory = || self.directories.iter().find(|(directory, _)| below(directory)).map(|(_, runs)| runs);
        self.files.get(path).or_else(of_directory)
    }
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
