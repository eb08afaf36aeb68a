//! Variables of the environment by which programs load code, or learn whom to believe, as data: what each one's value is.

/// Where commands are looked for. Its directories are no programs, but nobody else may put any there.
pub(super) const SEARCH_PATH: &str = "PATH";

/// What the value of a variable is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Obeyed {
    /// Paths of files and directories.
    Paths,
    /// A directory that counts with every file in it, whatever its name.
    Directory,
    /// A command.
    Command,
    /// Options, some of which name files.
    Options,
    /// Code, or a word.
    Text,
}

use Obeyed::{Command, Directory, Options, Paths, Text};

const VARIABLES: [(&str, Obeyed); 84] = [
    ("BASH_ENV", Paths),
    ("ENV", Text),
    ("LD_PRELOAD", Paths),
    ("LD_AUDIT", Paths),
    ("LD_LIBRARY_PATH", Paths),
    ("PYTHONSTARTUP", Paths),
    ("PYTHONPATH", Paths),
    ("PYTHONHOME", Paths),
    ("PYTHONUSERBASE", Paths),
    ("PYTHONPYCACHEPREFIX", Paths),
    ("PERL5OPT", Options),
    ("PERL5LIB", Paths),
    ("PERLLIB", Paths),
    ("PERL5DB", Text),
    ("RUBYOPT", Options),
    ("RUBYLIB", Paths),
    ("GEM_PATH", Paths),
    ("GEM_HOME", Paths),
    ("BUNDLE_GEMFILE", Paths),
    ("NODE_OPTIONS", Options),
    ("NODE_PATH", Paths),
    ("NPM_CONFIG_USERCONFIG", Paths),
    ("JAVA_TOOL_OPTIONS", Options),
    ("JDK_JAVA_OPTIONS", Options),
    ("_JAVA_OPTIONS", Options),
    ("CLASSPATH", Paths),
    ("PROMPT_COMMAND", Command),
    ("GCONV_PATH", Directory),
    ("OPENSSL_CONF", Paths),
    ("OPENSSL_MODULES", Paths),
    ("OPENSSL_ENGINES", Paths),
    ("GIT_SSH", Command),
    ("GIT_SSH_COMMAND", Command),
    ("GIT_ASKPASS", Command),
    ("GIT_EDITOR", Command),
    ("GIT_SEQUENCE_EDITOR", Command),
    ("GIT_PAGER", Command),
    ("GIT_EXTERNAL_DIFF", Command),
    ("GIT_PROXY_COMMAND", Command),
    ("GIT_CONFIG", Paths),
    ("GIT_CONFIG_GLOBAL", Paths),
    ("GIT_CONFIG_SYSTEM", Paths),
    ("GIT_EXEC_PATH", Paths),
    ("GIT_TEMPLATE_DIR", Directory),
    ("SSH_ASKPASS", Command),
    ("PAGER", Command),
    ("EDITOR", Command),
    ("VISUAL", Command),
    ("LESSOPEN", Text),
    ("LESSCLOSE", Text),
    ("LUA_INIT", Text),
    ("LUA_PATH", Text),
    ("LUA_CPATH", Text),
    ("PHPRC", Paths),
    ("PHP_INI_SCAN_DIR", Directory),
    ("TCLLIBPATH", Paths),
    ("R_PROFILE", Paths),
    ("R_PROFILE_USER", Paths),
    ("R_ENVIRON", Paths),
    ("R_LIBS", Paths),
    ("ERL_LIBS", Paths),
    ("GUILE_LOAD_PATH", Paths),
    ("AWKPATH", Paths),
    ("AWKLIBPATH", Paths),
    ("MAKEFILES", Paths),
    ("ZDOTDIR", Directory),
    ("VIMINIT", Text),
    ("EXINIT", Text),
    ("INPUTRC", Paths),
    ("GTK_MODULES", Text),
    ("GIO_EXTRA_MODULES", Paths),
    ("QT_PLUGIN_PATH", Paths),
    ("DOTNET_STARTUP_HOOKS", Paths),
    ("RPM_CONFIGDIR", Directory),
    ("KRB5_CONFIG", Paths),
    // Whom programs believe.
    ("SSL_CERT_FILE", Paths),
    ("SSL_CERT_DIR", Directory),
    ("CURL_CA_BUNDLE", Paths),
    ("REQUESTS_CA_BUNDLE", Paths),
    ("NODE_EXTRA_CA_CERTS", Paths),
    ("GIT_SSL_CAINFO", Paths),
    ("GIT_SSL_CAPATH", Directory),
    ("AWS_CA_BUNDLE", Paths),
    ("PIP_CERT", Paths),
];
/// Options that name a file in the same word, and in the next one.
const JOINED: [&str; 9] = [
    "-javaagent:",
    "-agentpath:",
    "-Xbootclasspath/a:",
    "--require=",
    "--import=",
    "--loader=",
    "--experimental-loader=",
    "-I",
    "-r",
];
const APART: [&str; 7] = ["--require", "--import", "--loader", "--experimental-loader", "-r", "-I", "-cp"];

impl Obeyed {
    /// What a variable's value is, when some program obeys it.
    pub fn of(variable: &str) -> Option<Self> {
        VARIABLES.iter().find(|(name, _)| *name == variable).map(|(_, obeyed)| *obeyed)
    }

    /// Whether every file in its directory counts.
    pub fn is_directory(self) -> bool {
        self == Directory
    }

    /// The paths that a value names for sure: those that had to be there. Patterns and other variables are left out.
    pub fn paths<'a>(variable: &str, value: &'a str) -> Vec<&'a str> {
        let is_plain = |word: &&str| !word.is_empty() && !word.contains(['*', '?', '%', '$', '|', '`']);
        let found: Vec<&str> = match Self::of(variable) {
            None if variable == SEARCH_PATH => value.split(':').collect(),
            Some(Paths | Directory) => value.split([':', ';', ',', ' ']).collect(),
            Some(Command) => value.split_whitespace().take(1).filter(|word| word.starts_with('/')).collect(),
            Some(Options) => of_options(value),
            Some(Text) | None => Vec::new(),
        };
        found.into_iter().filter(is_plain).collect()
    }
}

fn of_options(value: &str) -> Vec<&str> {
    let words: Vec<&str> = value.split_whitespace().collect();
    let named = words.iter().enumerate().filter_map(|(at, word)| {
        if APART.contains(word) {
            return words.get(at + 1).copied();
        }
        // `-javaagent:FILE=OPTIONS`
        let rest = JOINED.iter().find_map(|option| word.strip_prefix(option))?;
        rest.split(['=', ':']).next()
    });
    named.filter(|word| word.starts_with(['/', '.'])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_value_what_must_be_there_is_told_from_the_rest() {
        for (variable, value, expected) in [
            ("LD_PRELOAD", "/srv/a.so b.so:/c.so", &["/srv/a.so", "b.so", "/c.so"][..]),
            ("PYTHONPATH", "/srv/app:", &["/srv/app"]),
            ("ENV", "production", &[]),
            ("GIT_SSH_COMMAND", "ssh -i /etc/key -o UserKnownHostsFile=/dev/null", &[]),
            ("GIT_SSH_COMMAND", "/srv/ssh -i /etc/key", &["/srv/ssh"]),
            ("JAVA_TOOL_OPTIONS", "-Djava.io.tmpdir=/tmp -javaagent:/srv/a.jar=x -XX:HeapDumpPath=/tmp", &["/srv/a.jar"]),
            ("NODE_OPTIONS", "--max-old-space-size=4096 --require /srv/a.js -r./b.js", &["/srv/a.js", "./b.js"]),
            ("LESSOPEN", "||/usr/bin/lesspipe.sh %s", &[]),
            ("PATH", "/usr/bin:/srv/bin", &["/usr/bin", "/srv/bin"]),
            ("LANG", "/srv", &[]),
        ] {
            assert_eq!(Obeyed::paths(variable, value), expected, "{variable}={value}");
        }
    }
}
