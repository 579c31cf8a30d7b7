//! Addresses from names, without holding up the worker.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::AsFd;
use std::{option, slice, vec};

use rustix::net::AddressFamily;

/// What can be turned into socket addresses, as `std::net::ToSocketAddrs`.
///
/// ```
/// use ropewalk::net::ToSocketAddrs;
/// let addresses: Vec<_> = "127.0.0.1:80".to_socket_addrs()?.collect();
/// assert_eq!(addresses[0].port(), 80);
/// # Ok::<(), std::io::Error>(())
/// ```
pub trait ToSocketAddrs {
    /// The addresses.
    type Iter: Iterator<Item = SocketAddr>;

    /// Resolves it.
    ///
    /// # Errors
    /// No address has this form, or the resolver finds no such name.
    ///
    /// # Waits
    /// For the resolver, where there is a name to resolve: on a thread of its own.
    ///
    /// # Cancellation
    /// Unwinds a cancelled task; the resolver ends by itself.
    fn to_socket_addrs(&self) -> io::Result<Self::Iter>;
}

/// The resolver cannot be broken off, and may take half a minute: whoever is cancelled, or out of time, leaves it behind.
fn resolve(
    name: impl std::net::ToSocketAddrs<Iter = vec::IntoIter<SocketAddr>> + Send + 'static,
) -> io::Result<vec::IntoIter<SocketAddr>> {
    ropewalk_runtime::blocking_owned(move || name.to_socket_addrs())?
}

impl ToSocketAddrs for SocketAddr {
    type Iter = option::IntoIter<SocketAddr>;

    fn to_socket_addrs(&self) -> io::Result<Self::Iter> {
        Ok(Some(*self).into_iter())
    }
}

macro_rules! from_parts {
    ($($parts:ty),*) => {$(
        impl ToSocketAddrs for $parts {
            type Iter = option::IntoIter<SocketAddr>;

            fn to_socket_addrs(&self) -> io::Result<Self::Iter> {
                Ok(Some(SocketAddr::from(*self)).into_iter())
            }
        }
    )*};
}
from_parts!(SocketAddrV4, SocketAddrV6, (IpAddr, u16), (Ipv4Addr, u16), (Ipv6Addr, u16));

impl ToSocketAddrs for (&str, u16) {
    type Iter = vec::IntoIter<SocketAddr>;

    fn to_socket_addrs(&self) -> io::Result<Self::Iter> {
        match self.0.parse::<IpAddr>() {
            Ok(ip) => Ok(vec![SocketAddr::new(ip, self.1)].into_iter()),
            Err(_) => resolve((self.0.to_owned(), self.1)),
        }
    }
}

impl ToSocketAddrs for (String, u16) {
    type Iter = vec::IntoIter<SocketAddr>;

    fn to_socket_addrs(&self) -> io::Result<Self::Iter> {
        (&*self.0, self.1).to_socket_addrs()
    }
}

impl ToSocketAddrs for str {
    type Iter = vec::IntoIter<SocketAddr>;

    fn to_socket_addrs(&self) -> io::Result<Self::Iter> {
        match self.parse::<SocketAddr>() {
            Ok(address) => Ok(vec![address].into_iter()),
            Err(_) => resolve(self.to_owned()),
        }
    }
}

impl ToSocketAddrs for String {
    type Iter = vec::IntoIter<SocketAddr>;

    fn to_socket_addrs(&self) -> io::Result<Self::Iter> {
        (**self).to_socket_addrs()
    }
}

impl<'a> ToSocketAddrs for &'a [SocketAddr] {
    type Iter = std::iter::Copied<slice::Iter<'a, SocketAddr>>;

    fn to_socket_addrs(&self) -> io::Result<Self::Iter> {
        Ok(self.iter().copied())
    }
}

impl<A: ToSocketAddrs + ?Sized> ToSocketAddrs for &A {
    type Iter = A::Iter;

    fn to_socket_addrs(&self) -> io::Result<Self::Iter> {
        (**self).to_socket_addrs()
    }
}

/// Tries `f` with each address of `addresses` until one succeeds, as std does.
pub(super) fn each_address<A: ToSocketAddrs, T>(
    addresses: A,
    mut f: impl FnMut(SocketAddr) -> io::Result<T>,
) -> io::Result<T> {
    let mut last = io::Error::new(io::ErrorKind::InvalidInput, "could not resolve to any addresses");
    for address in addresses.to_socket_addrs()? {
        match f(address) {
            Ok(value) => return Ok(value),
            Err(error) => last = error,
        }
    }
    Err(last)
}

pub(super) fn family(address: &SocketAddr) -> AddressFamily {
    match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    }
}

pub(super) fn local_addr(socket: impl AsFd) -> io::Result<SocketAddr> {
    Ok(rustix::net::getsockname(socket)?.try_into()?)
}

pub(super) fn peer_addr(socket: impl AsFd) -> io::Result<SocketAddr> {
    match rustix::net::getpeername(socket)? {
        Some(address) => Ok(address.try_into()?),
        None => Err(io::ErrorKind::NotConnected.into()),
    }
}
