//! `TlsClient`: a TLS connection that blocks, for tests that look at handshakes.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme, StreamOwned,
};
use squall::testing::TestResponse;

use crate::Identity;

/// A connection to a server whose certificate is looked at and not checked.
#[derive(Debug)]
pub struct TlsClient(StreamOwned<ClientConnection, TcpStream>);

impl TlsClient {
    /// Connects, and shakes hands as in [`over`](Self::over).
    ///
    /// # Errors
    /// The connection's and the handshake's.
    ///
    /// # Panics
    /// When the name is none.
    pub fn connect(address: SocketAddr, name: &str, shown: Option<&Identity>) -> io::Result<Self> {
        Self::over(TcpStream::connect(address)?, name, shown)
    }

    /// Shakes hands and asks for the certificate of this name, or of none when it is an
    /// address.
    ///
    /// # Errors
    /// The handshake's.
    ///
    /// # Panics
    /// When the name is none.
    pub fn over(socket: TcpStream, name: &str, shown: Option<&Identity>) -> io::Result<Self> {
        Self::with(socket, name, config(shown))
    }

    /// As [`connect`](Self::connect), with the handshake in records of a few bytes.
    ///
    /// # Errors
    /// As there.
    ///
    /// # Panics
    /// As there.
    pub fn connect_in_pieces(address: SocketAddr, name: &str) -> io::Result<Self> {
        let mut config = config(None);
        config.max_fragment_size = Some(32);
        Self::with(TcpStream::connect(address)?, name, config)
    }

    fn with(socket: TcpStream, name: &str, config: ClientConfig) -> io::Result<Self> {
        let name = ServerName::try_from(name.to_owned()).expect("a name");
        let session = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
        socket.set_read_timeout(Some(Duration::from_secs(30)))?;
        let mut stream = StreamOwned::new(session, socket);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(Self(stream))
    }

    /// The server's certificate in DER.
    ///
    /// # Panics
    /// When it has shown none.
    #[track_caller]
    pub fn certificate(&self) -> Vec<u8> {
        let shown = self.0.conn.peer_certificates().expect("a certificate");
        shown[0].to_vec()
    }

    /// The protocol that was agreed on.
    pub fn alpn(&self) -> Option<&[u8]> {
        self.0.conn.alpn_protocol()
    }

    /// Sends bytes on the connection.
    ///
    /// # Errors
    /// The connection's.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    /// Sends until nobody takes any more for a moment.
    ///
    /// # Panics
    /// When the socket takes no timeouts.
    pub fn fill(&mut self) {
        let (sock, moment) = (&self.0.sock, Some(Duration::from_millis(100)));
        let patience = sock.read_timeout().expect("a socket");
        sock.set_write_timeout(moment).expect("a socket");
        // Writing looks for what has come, too.
        sock.set_read_timeout(moment).expect("a socket");
        while self.0.write_all(&[0; 64 << 10]).is_ok() {}
        self.0.sock.set_write_timeout(None).expect("a socket");
        self.0.sock.set_read_timeout(patience).expect("a socket");
    }

    /// Sends a GET on the connection, which stays open, and reads the answer, whose
    /// length has to be told.
    ///
    /// # Errors
    /// The connection's. A server may refuse a client's certificate only here.
    pub fn get(&mut self, target: &str) -> io::Result<TestResponse> {
        write!(self.0, "GET {target} HTTP/1.1\r\nHost: a.test\r\n\r\n")?;
        let mut answer = Vec::new();
        loop {
            let mut byte = [0; 1];
            self.0.read_exact(&mut byte)?;
            answer.push(byte[0]);
            if answer.ends_with(b"\r\n\r\n") {
                break;
            }
        }
        let head = TestResponse::parse(&answer);
        let length = head
            .header("content-length")
            .map_or(0, |length| length.parse().expect("a length"));
        let mut body = vec![0; length];
        self.0.read_exact(&mut body)?;
        answer.extend_from_slice(&body);
        Ok(TestResponse::parse(&answer))
    }
}

/// An end that was not announced is the error `UnexpectedEof`.
impl Read for TlsClient {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(buf)
    }
}

fn config(shown: Option<&Identity>) -> ClientConfig {
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody));
    let Some(identity) = shown else {
        return config.with_no_client_auth();
    };
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).expect("a key");
    let cert = CertificateDer::from(identity.der.clone());
    (config.with_client_auth_cert(vec![cert], key)).expect("a certificate")
}

#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}
