//! SOCKS5: a tunnel by RFC 1928, with a user and a password by RFC 1929.

use squall_loop::net::{ReadStream, TcpStream, WriteStream};
use url::Host;

use super::connect::ProxyFailure;

const VERSION: u8 = 5;
const CONNECT: u8 = 1;
const NO_CREDENTIALS: u8 = 0;
const USER_AND_PASSWORD: u8 = 2;
const NONE_FITS: u8 = 0xff;

const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;

/// Asks for a tunnel to a host, by its name if that is what we have.
pub(super) async fn open(
    tcp: &TcpStream,
    host: &Host<&str>,
    port: u16,
    user: &str,
    password: &str,
) -> Result<(), ProxyFailure> {
    // Whoever has credentials offers to do without them, too: many proxies want none of those
    // they know by their address. What they are for is not said before the proxy asks.
    let offer: &[u8] = match user.is_empty() && password.is_empty() {
        true => &[VERSION, 1, NO_CREDENTIALS],
        false => &[VERSION, 2, USER_AND_PASSWORD, NO_CREDENTIALS],
    };
    tcp.write_all(offer).await?;
    let mut chosen = [0; 2];
    tcp.read_exact(&mut chosen).await?;
    let [version, method] = chosen;
    let has_credentials = offer.len() > 3;
    match method {
        _ if version != VERSION => return Err(refused("it does not speak SOCKS5")),
        NO_CREDENTIALS => {}
        USER_AND_PASSWORD if has_credentials => authenticate(tcp, user, password).await?,
        NONE_FITS if !has_credentials => return Err(refused("it wants credentials")),
        NONE_FITS => return Err(refused("it takes no user and password")),
        _ => return Err(refused("it wants a method that was not offered")),
    }
    let mut request = vec![VERSION, CONNECT, 0];
    match host {
        Host::Ipv4(v4) => {
            request.push(IPV4);
            request.extend(v4.octets());
        }
        Host::Ipv6(v6) => {
            request.push(IPV6);
            request.extend(v6.octets());
        }
        Host::Domain(name) => {
            request.push(NAME);
            counted(&mut request, name, 1, "the host's name")?;
        }
    }
    request.extend(port.to_be_bytes());
    tcp.write_all(&request).await?;
    answer(tcp).await
}

async fn authenticate(tcp: &TcpStream, user: &str, password: &str) -> Result<(), ProxyFailure> {
    let mut message = vec![1];
    counted(&mut message, user, 1, "the proxy's user")?;
    // An empty one is none in RFC 1929, and still what many proxies want.
    counted(&mut message, password, 0, "the proxy's password")?;
    tcp.write_all(&message).await?;
    let mut status = [0; 2];
    tcp.read_exact(&mut status).await?;
    match status {
        [_, 0] => Ok(()),
        _ => Err(refused("its user or password is another one")),
    }
}

/// Reads the answer with the address that it ends with, and no byte more.
async fn answer(tcp: &TcpStream) -> Result<(), ProxyFailure> {
    let mut start = [0; 5];
    tcp.read_exact(&mut start).await?;
    let [version, reply, _, kind, first] = start;
    if version != VERSION {
        return Err(refused("it does not speak SOCKS5"));
    }
    match reply {
        0 => {}
        1 => return Err(ProxyFailure::Unreached("it failed")),
        2 => return Err(refused("its rules do not allow it")),
        3 => return Err(ProxyFailure::Unreached("it has no route to the network")),
        4 => return Err(ProxyFailure::Unreached("it has no route to the host")),
        5 => return Err(ProxyFailure::Unreached("the host refused the connection")),
        6 => return Err(ProxyFailure::Unreached("the way there is too long")),
        7 => return Err(refused("it does not support that")),
        // Another of the host's addresses may be of a kind that it knows.
        8 => return Err(ProxyFailure::Unsupported),
        _ => return Err(refused("for no reason that RFC 1928 knows")),
    }
    // The first byte of the address is read already; behind the rest there is a port.
    let rest = match kind {
        IPV4 => 4 - 1 + 2,
        IPV6 => 16 - 1 + 2,
        NAME => usize::from(first) + 2,
        _ => return Err(refused("its address is of no kind that RFC 1928 knows")),
    };
    let mut address = [0; 255 + 2];
    let rest = address.get_mut(..rest).unwrap_or_default();
    tcp.read_exact(rest).await?;
    Ok(())
}

/// Appends a text of at least so many bytes behind its length, which is one byte.
fn counted(message: &mut Vec<u8>, text: &str, least: u8, what: &str) -> Result<(), ProxyFailure> {
    let length = u8::try_from(text.len()).ok();
    let length = length.filter(|length| *length >= least).ok_or_else(|| {
        let why = format!("{what} has to have {least} to 255 bytes for SOCKS5");
        ProxyFailure::Refused(why)
    })?;
    message.push(length);
    message.extend(text.as_bytes());
    Ok(())
}

fn refused(why: &str) -> ProxyFailure {
    ProxyFailure::Refused(why.to_owned())
}
