//! HTTP clients, one for each set of credentials: `oci-client` keeps one login per host and client, while auth files
//! may hold several for one host (per namespace).

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use oci_client::client::{Certificate, ClientConfig, ClientProtocol};
use oci_client::errors::OciDistributionError;
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference, RegistryOperation};
use reqwest::header::HeaderValue;

use crate::alias::Target;
use crate::auth_file::AuthFile;
use crate::classify::classify;
use crate::error::{Action, RegistryError};
use crate::image_reference::ImageReference;
use crate::{RegistryConfig, certificates};

/// A connection that is not up by then will not come.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// Longest silence of a registry that is being read from.
pub(crate) const READ_TIMEOUT: Duration = Duration::from_secs(60);

pub(crate) const USER_AGENT: &str = concat!("containerbuild/", env!("CARGO_PKG_VERSION"));

/// Everything needed to make clients.
pub(crate) struct Endpoints {
    settings: Arc<ClientSettings>,
    auth_file: AuthFile,
    auth_path: Option<PathBuf>,
    clients: Mutex<HashMap<String, Endpoint>>,
    sender: Mutex<Option<reqwest::Client>>,
}

/// Clients for one set of credentials, made when first needed: each reads the machine's certificate authorities, which
/// takes longer than a build that finds everything in the store.
#[derive(Clone)]
pub(crate) struct Endpoint {
    reader: Lazy,
    writer: Lazy,
    auth: RegistryAuth,
}

#[derive(Clone)]
struct Lazy {
    settings: Arc<ClientSettings>,
    read_timeout: Option<Duration>,
    client: Arc<Mutex<Option<Client>>>,
}

/// What all clients have in common.
struct ClientSettings {
    insecure: Vec<String>,
    certificates: Vec<Certificate>,
}

impl Endpoints {
    pub(crate) fn new(config: &RegistryConfig) -> Result<Self, RegistryError> {
        let mut authorities = Vec::new();
        for path in &config.ca_files {
            authorities.extend(certificates::read(path)?);
        }
        let auth_file = config.auth_file.as_deref().map(AuthFile::read).transpose()?.unwrap_or_default();
        let settings = Arc::new(ClientSettings { insecure: config.insecure.clone(), certificates: authorities });
        if !settings.certificates.is_empty() {
            // Malformed certificates shall be found at start, not in the first build.
            settings.client(None)?;
        }
        let (clients, sender) = Default::default();
        Ok(Self { settings, auth_file, auth_path: config.auth_file.clone(), clients, sender })
    }

    /// Whether `registry` is spoken to in plain http.
    pub(crate) fn is_plain(&self, registry: &str) -> bool {
        self.settings.insecure.iter().any(|host| host == registry)
    }

    /// A client for bodies whose end is not known yet, made when first needed. It has no time-out for the sending.
    pub(crate) fn sender(&self) -> Result<reqwest::Client, RegistryError> {
        let mut known = self.sender.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(client) = &*known {
            return Ok(client.clone());
        }
        let client = self.settings.sender().map_err(|source| RegistryError::Client { source: Box::new(source) })?;
        *known = Some(client.clone());
        Ok(client)
    }

    /// The clients to reach `target` with.
    pub(crate) fn endpoint(&self, target: &Target) -> Result<Endpoint, RegistryError> {
        let found = self.auth_file.lookup(&target.location.registry, &target.location.repository);
        let (key, auth) = found.map_or(("", RegistryAuth::Anonymous), |(key, auth)| (key, auth.clone()));
        // A poisoned lock means a panic while inserting; the map is whole in any case.
        let mut clients = self.clients.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(endpoint) = clients.get(key) {
            return Ok(endpoint.clone());
        }
        let lazy = |read_timeout| Lazy { settings: Arc::clone(&self.settings), read_timeout, client: Arc::default() };
        let endpoint = Endpoint { reader: lazy(Some(READ_TIMEOUT)), writer: lazy(None), auth };
        clients.insert(key.to_owned(), endpoint.clone());
        Ok(endpoint)
    }
}

impl ClientSettings {
    /// Never `Client::new`: on a bad configuration that one goes on with the defaults, without our authorities.
    fn client(&self, read_timeout: Option<Duration>) -> Result<Client, RegistryError> {
        Client::try_from(ClientConfig {
            protocol: ClientProtocol::HttpsExcept(self.insecure.clone()),
            extra_root_certificates: self.certificates.clone(),
            use_monolithic_push: true,
            platform_resolver: None,
            read_timeout,
            connect_timeout: Some(CONNECT_TIMEOUT),
            user_agent: USER_AGENT,
            ..ClientConfig::default()
        })
        .map_err(|source| RegistryError::Client { source: Box::new(source) })
    }

    fn sender(&self) -> Result<reqwest::Client, OciDistributionError> {
        let certificates: Result<Vec<reqwest::Certificate>, _> = self.certificates.iter().map(TryInto::try_into).collect();
        let builder = reqwest::Client::builder().tls_certs_merge(certificates?).connect_timeout(CONNECT_TIMEOUT);
        // A body cannot be sent twice, so there is nothing to follow a redirection with.
        Ok(builder.redirect(reqwest::redirect::Policy::none()).user_agent(USER_AGENT).build()?)
    }
}

impl std::fmt::Debug for Endpoints {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoints")
            .field("insecure", &self.settings.insecure)
            .field("auth_file", &self.auth_path)
            .finish_non_exhaustive()
    }
}

impl Lazy {
    fn get(&self) -> Result<Client, RegistryError> {
        let mut known = self.client.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(client) = &*known {
            return Ok(client.clone());
        }
        let client = self.settings.client(self.read_timeout)?;
        *known = Some(client.clone());
        Ok(client)
    }
}

impl Endpoint {
    /// For requests that are answered at once; gives up on silence.
    pub(crate) fn reader(&self) -> Result<Client, RegistryError> {
        self.reader.get()
    }

    /// For uploads: reqwest counts the whole sending of a body as silence, so this one has no read time-out.
    /// Whoever uses it watches the progress.
    pub(crate) fn writer(&self) -> Result<Client, RegistryError> {
        self.writer.get()
    }

    pub(crate) fn auth(&self) -> &RegistryAuth {
        &self.auth
    }

    /// Logs in to the reader for pulling.
    pub(crate) async fn login_to_read(&self, action: Action, target: &Target) -> Result<(), RegistryError> {
        self.login(&self.reader()?, RegistryOperation::Pull, action, target).await.map(drop)
    }

    /// Logs in to both clients, for checking and for pushing; gives the token for pushing, if the registry deals in tokens.
    pub(crate) async fn login_to_write(&self, action: Action, target: &Target) -> Result<Option<String>, RegistryError> {
        self.login(&self.reader()?, RegistryOperation::Pull, action, target).await?;
        let writer = self.writer()?;
        let login = self.login(&writer, RegistryOperation::Push, action, target);
        match tokio::time::timeout(READ_TIMEOUT, login).await {
            Ok(outcome) => outcome,
            Err(_) => Err(stalled(action, target, READ_TIMEOUT)),
        }
    }

    /// Inside a request `oci-client` swallows login errors and goes on without a token, which then looks like a
    /// missing permission. Logging in beforehand shows them.
    async fn login(
        &self,
        client: &Client,
        operation: RegistryOperation,
        action: Action,
        target: &Target,
    ) -> Result<Option<String>, RegistryError> {
        let token = client.auth(&wire(&target.location), &self.auth, operation).await.map_err(|e| classify(e, action, target))?;
        match token {
            Some(token) if HeaderValue::from_str(&token).is_err() => Err(RegistryError::Protocol {
                action,
                target: target.to_string(),
                registry: target.location.registry.clone(),
                message: "its token holds characters no header can carry".to_owned(),
            }),
            token => Ok(token),
        }
    }
}

/// The reference in `oci-client`'s type.
pub(crate) fn wire(location: &ImageReference) -> Reference {
    let (registry, repository) = (location.registry.clone(), location.repository.clone());
    match &location.digest {
        Some(digest) => Reference::with_digest(registry, repository, digest.to_string()),
        None => Reference::with_tag(registry, repository, location.tag.clone().unwrap_or_else(|| "latest".to_owned())),
    }
}

/// A request of the writer took too long.
pub(crate) fn stalled(action: Action, target: &Target, after: Duration) -> RegistryError {
    RegistryError::Stalled {
        action,
        target: target.to_string(),
        registry: target.location.registry.clone(),
        seconds: after.as_secs(),
    }
}
