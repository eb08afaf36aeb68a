//! To other builds on the same machine, and what remains when a build is killed.

use std::sync::mpsc::{Sender, channel};

use image_build::{Progress, ProgressEvent};

use super::output;
use crate::run::running;
use crate::world::{Options, Recorder, World};

pub const TESTS: &[crate::Test] = &[
    ("escape::another_build_is_neither_seen_nor_killed", other_build),
    ("escape::killing_everything_kills_the_run_alone", kill_all),
];

struct Tell(std::sync::Mutex<Sender<String>>);

impl Progress for Tell {
    fn event(&self, event: ProgressEvent) {
        if let ProgressEvent::OutputLine { line, .. } = event {
            let _ = self.0.lock().expect("lock").send(line);
        }
    }
}

fn other_build() {
    let (victim, attacker) = (World::new(), World::new());
    let (ids, other) = (victim.user_namespace().host_root(), attacker.user_namespace().host_root());
    assert!(ids.abs_diff(other) >= victim.user_namespace().size(), "two builds with ids in common");
    let (tell, told) = channel();
    std::thread::scope(|scope| {
        let build = scope.spawn(|| {
            let options = Options::default();
            let text = "FROM BASE\nRUN echo hidden > /dev/shm/x; echo started; sleep 4741 & while ! test -e /go; do sleep 0.1; test -e /proc/$! || exit 9; n=$((n+1)); test $n -lt 30 || break; done; echo alive\n";
            victim.build_at(&victim.dir.path().join("work"), text, &options, &Tell(tell.into()))
        });
        assert_eq!(told.recv().expect("a line"), "started");
        let text = "FROM BASE\nRUN ! ps | grep 4741 | grep -v grep && ! ls /dev/shm/x 2>/dev/null\n\
                    RUN kill -9 -1; for pid in $(seq 2 400); do kill -9 $pid 2>/dev/null && echo killed $pid; done; true\n\
                    RUN ! ls /run/containerbuild 2>/dev/null\n";
        let recorder = Recorder::default();
        let attacked = attacker.build_at(&attacker.dir.path().join("work"), text, &Options::default(), &recorder);
        attacked.unwrap_or_else(|e| panic!("{e}"));
        let lines = recorder.output();
        assert!(!lines.iter().any(|l| l.starts_with("killed")), "{lines:?}");
        build.join().expect("thread").expect("the other build goes on");
    });
    assert_eq!(told.iter().last().as_deref(), Some("alive"));
    assert!(!running("4741"));
    victim.assert_nothing_left();
    attacker.assert_nothing_left();
}

fn kill_all() {
    let world = World::new();
    let text = "FROM BASE\nRUN (setsid sleep 4742 &) ; (sleep 4743 &); kill -9 -1; true\nRUN (trap '' TERM HUP INT; setsid sh -c 'sleep 4744; sleep 4745' & ) ; true\n";
    output(&world, text, &Options::default());
    for argument in ["4742", "4743", "4744", "4745"] {
        assert!(!running(argument), "{argument} is left");
    }
}
