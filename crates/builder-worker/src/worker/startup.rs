//! Coming up: log in as the host, take the exclusive session, sweep what a killed worker left.
//!
//! Order as kojid's (builder/kojid, main): login → exclusiveSession(force) → host.getID. `force` because after a crash
//! the old exclusive session still stands; two live workers with one identity would steal from each other, so the state
//! directory is locked first.

use std::fs::File;
use std::time::Duration;

use anyhow::Context;
use build_model::TaskId;
use koji_session::{BuildState, Credentials, HubConfig, KerberosIdentity, RetryPolicy, Session};

use super::Journal;
use super::drain::{lock_path, note_process};
use super::settle::{cancel_lost, refund};
use crate::config::Settings;

/// kojid's two hours of patience with a hub that does not answer, asking more often: a build whose hub comes back
/// should not sit for a minute.
const PATIENCE: RetryPolicy = RetryPolicy {
    attempts: 720,
    interval: Duration::from_secs(10),
    offline_interval: Duration::from_secs(30),
    call_timeout: Duration::from_secs(12 * 3600),
    login_timeout: Duration::from_secs(60),
};

/// The hub connection of this site's configuration.
///
/// # Errors
/// When the password file cannot be read.
pub fn hub_config(settings: &Settings) -> anyhow::Result<HubConfig> {
    let hub = &settings.hub;
    let credentials = match (&hub.cert, &hub.user, &hub.password_file) {
        (Some(pem), _, _) => Credentials::Certificate { pem: pem.clone(), ca: hub.ca.clone() },
        (None, Some(user), Some(file)) => {
            let password = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
            Credentials::Password { user: user.clone(), password: password.trim_end().to_owned() }
        }
        _ if hub.keytab.is_some() || hub.ccache.is_some() => Credentials::Kerberos(KerberosIdentity {
            principal: hub.principal.clone(),
            keytab: hub.keytab.clone(),
            ccache: hub.ccache.clone(),
        }),
        _ => Credentials::Anonymous, // refused by Settings::load
    };
    Ok(HubConfig { url: hub.url.clone(), credentials, ca: hub.ca.clone(), retry: PATIENCE })
}

/// Locks the state directory for as long as the file is kept.
///
/// # Errors
/// When another worker holds it, or the directory cannot be made.
pub fn lock_state_dir(settings: &Settings) -> anyhow::Result<File> {
    let dir = &settings.worker.state_dir;
    std::fs::create_dir_all(settings.tasks_dir()).with_context(|| format!("cannot create {}", dir.display()))?;
    let path = lock_path(dir);
    // Not emptied before the lock is ours: another worker's process id may stand in it.
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false);
    let mut file = options.open(&path).with_context(|| format!("cannot create {}", path.display()))?;
    file.try_lock().with_context(|| {
        format!("another worker uses {}; every worker needs a state directory and a host of its own", dir.display())
    })?;
    note_process(&mut file).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(file)
}

/// Removes what a killed worker left on this machine. Journals of tasks that may still run again stay.
///
/// # Errors
/// When the store cannot be opened.
pub fn sweep_machine(settings: &Settings) -> anyhow::Result<()> {
    image_build::sweep(&settings.tasks_dir());
    let store = image_layers::Store::open(&settings.store_dir())?;
    let report = store.sweep();
    tracing::info!(?report, "swept the image store");
    Ok(())
}

/// Settles task directories that are left: by a killed worker, or by tasks that were given to another host. Those of tasks
/// that have ended are refunded and removed. `held` are the tasks of this worker.
pub async fn sweep_tasks(session: &Session, settings: &Settings, held: &(dyn Fn(TaskId) -> bool + Sync)) {
    let Ok(entries) = std::fs::read_dir(settings.tasks_dir()) else { return };
    for entry in entries.flatten() {
        let Some(task) = entry.file_name().to_str().and_then(|n| n.parse().ok()).map(TaskId) else { continue };
        if held(task) {
            continue;
        }
        let dir = entry.path();
        let ended = match session.get_task_info(task, false).await {
            Ok(Some(info)) => info.state.is_final(),
            Ok(None) => true,
            Err(error) => {
                tracing::warn!(%task, %error, "cannot ask about a task left behind; its directory stays");
                continue;
            }
        };
        if !ended {
            continue;
        }
        match Journal::open(&dir) {
            Ok(mut journal) => {
                refund(session, &mut journal, BuildState::Failed).await;
                cancel_lost(session, &dir).await;
            }
            Err(error) => tracing::warn!(%task, %error, "a task left behind has no readable journal"),
        }
        if let Err(error) = std::fs::remove_dir_all(&dir) {
            tracing::warn!(%task, %error, "cannot remove the directory of an ended task");
        }
    }
}
