//! Who may come in: which addresses are open, the password, and encryption.
//!
//! A loopback address is open to every user of the machine. Any other address needs a password and a certificate, and without both the
//! server does not start. The password goes over the wire as SCRAM-SHA-256 only, which shows it to nobody, and where there is a
//! certificate, a connection that is not encrypted is turned away before it says anything. There are no users: any name is let in.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion_postgres::pgwire::api::auth::sasl::SASLAuthStartupHandler;
use datafusion_postgres::pgwire::api::auth::sasl::scram::{SCRAM_ITERATIONS, ScramAuth, gen_salted_password};
use datafusion_postgres::pgwire::api::auth::{
    AuthSource, LoginInfo, Password, ServerParameterProvider, StartupHandler, finish_authentication, protocol_negotiation,
    save_startup_parameters_to_metadata,
};
use datafusion_postgres::pgwire::api::{ClientInfo, PidSecretKeyGenerator};
use datafusion_postgres::pgwire::error::{PgWireError, PgWireResult};
use datafusion_postgres::pgwire::messages::{PgWireBackendMessage, PgWireFrontendMessage};
use datafusion_postgres::pgwire::tokio::TlsAcceptor;
use datafusion_postgres::pgwire::tokio::tokio_rustls::rustls::crypto::ring;
use datafusion_postgres::pgwire::tokio::tokio_rustls::rustls::pki_types::pem::PemObject;
use datafusion_postgres::pgwire::tokio::tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use datafusion_postgres::pgwire::tokio::tokio_rustls::rustls::{self, ServerConfig};
use futures::Sink;

use super::settings::greeting;
use super::{ServeError, ServeOptions, Tls, read_file};

/// What a client must show, and how it is spoken to.
pub(super) struct Door {
    secret: Option<Arc<Secret>>,
    acceptor: Option<TlsAcceptor>,
    /// The certificate in PEM, to which a client can bind its login.
    certificate: Option<Vec<u8>>,
}

impl Door {
    /// # Errors
    /// When others than this machine could come in without a password and encryption, or a file is not what it should be.
    pub(super) fn build(options: &ServeOptions) -> Result<Self, ServeError> {
        let ServeOptions { listen, password, tls, .. } = options;
        if password.as_ref().is_some_and(String::is_empty) {
            return Err(ServeError::EmptyPassword);
        }
        let missing = match (password, tls) {
            (None, None) => Some("there is neither a password nor a certificate"),
            (None, Some(_)) => Some("there is no password"),
            (Some(_), None) => Some("there is no certificate"),
            (Some(_), Some(_)) => None,
        };
        if let Some(missing) = missing
            && !listen.ip().to_canonical().is_loopback()
        {
            return Err(ServeError::Exposed { address: *listen, missing });
        }
        let secret = password.as_ref().map(|password| Secret::new(password)).transpose()?.map(Arc::new);
        let (acceptor, certificate) = match tls {
            None => (None, None),
            Some(tls) => {
                let (acceptor, certificate) = acceptor(tls)?;
                (Some(acceptor), Some(certificate))
            }
        };
        Ok(Self { secret, acceptor, certificate })
    }

    pub(super) fn acceptor(&self) -> Option<TlsAcceptor> {
        self.acceptor.clone()
    }

    /// Whether a connection that is not encrypted is turned away.
    pub(super) fn wants_tls(&self) -> bool {
        self.acceptor.is_some()
    }

    /// The login of one connection. Each has its own, because a login has a state.
    pub(super) fn login(&self, keys: Arc<dyn PidSecretKeyGenerator>) -> Login {
        let scram = self.secret.as_ref().map(|secret| {
            let mut scram = ScramAuth::new(Arc::<Secret>::clone(secret));
            if let Some(pem) = &self.certificate {
                // Binding to some kinds of certificates is not supported; a client that does not insist logs in without.
                let _ = scram.configure_certificate(pem);
            }
            SASLAuthStartupHandler::new(Arc::new(Greeting)).with_scram(scram).with_pid_secret_key_generator(Arc::clone(&keys))
        });
        Login { scram, keys }
    }
}

fn acceptor(tls: &Tls) -> Result<(TlsAcceptor, Vec<u8>), ServeError> {
    let Tls { certificate, key } = tls;
    let unfit = |reason: String| ServeError::Tls { certificate: certificate.clone(), key: key.clone(), reason };
    let pem = read_file("certificate", certificate)?;
    let key_pem = read_file("private key", key)?;
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|error| unfit(format!("the certificate is not PEM: {error}")))?;
    if chain.is_empty() {
        return Err(unfit("there is no certificate in the first file".to_owned()));
    }
    let key =
        PrivateKeyDer::from_pem_slice(&key_pem).map_err(|error| unfit(format!("there is no private key in the second file: {error}")))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|config| config.with_no_client_auth().with_single_cert(chain, key))
        .map_err(|error: rustls::Error| unfit(error.to_string()))?;
    // What clients ask for that start with TLS at once.
    config.alpn_protocols = vec![b"postgresql".to_vec()];
    Ok((TlsAcceptor::from(Arc::new(config)), pem))
}

/// The password as SCRAM keeps it.
struct Secret {
    salt: Vec<u8>,
    salted: Vec<u8>,
}

impl Secret {
    fn new(password: &str) -> Result<Self, ServeError> {
        let mut salt = vec![0; 16];
        getrandom::fill(&mut salt).map_err(|error| ServeError::Engine { reason: error.to_string() })?;
        let salted = gen_salted_password(password, &salt, SCRAM_ITERATIONS);
        Ok(Self { salt, salted })
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

#[async_trait]
impl AuthSource for Secret {
    async fn get_password(&self, _login: &LoginInfo) -> PgWireResult<Password> {
        Ok(Password::new(Some(self.salt.clone()), self.salted.clone()))
    }
}

/// What clients are told after their login.
struct Greeting;

impl ServerParameterProvider for Greeting {
    fn server_parameters<C: ClientInfo>(&self, client: &C) -> Option<HashMap<String, String>> {
        Some(greeting(client.metadata()))
    }
}

/// The login of one connection.
pub(super) struct Login {
    scram: Option<SASLAuthStartupHandler<Greeting>>,
    keys: Arc<dyn PidSecretKeyGenerator>,
}

#[async_trait]
impl StartupHandler for Login {
    async fn on_startup<C>(&self, client: &mut C, message: PgWireFrontendMessage) -> PgWireResult<()>
    where
        C: ClientInfo + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::Error: fmt::Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        if let Some(scram) = &self.scram {
            return scram.on_startup(client, message).await;
        }
        if let PgWireFrontendMessage::Startup(startup) = &message {
            protocol_negotiation(client, startup).await?;
            save_startup_parameters_to_metadata(client, startup);
            let (pid, key) = self.keys.generate(client);
            client.set_pid_and_secret_key(pid, key);
            finish_authentication(client, &Greeting).await?;
        }
        Ok(())
    }
}
