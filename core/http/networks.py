"""The networks that are not the public internet, with the words for them."""

import ipaddress

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

#: Own list, because `ipaddress.is_global` of Python 3.11 says True for 64:ff9b::/96, 2002::/16,
#: ::127.0.0.1, fec0::/10, multicast and 192.0.0.192. From the IANA special-purpose registries.
_DENIED = tuple(
    (ipaddress.ip_network(network), words)
    for network, words in (
        ("0.0.0.0/8", "an address of this computer"),
        ("10.0.0.0/8", "a private address"),
        ("100.64.0.0/10", "a provider's internal address"),
        ("127.0.0.0/8", "a loopback address"),
        ("169.254.0.0/16", "a link-local address"),
        ("172.16.0.0/12", "a private address"),
        ("192.0.0.0/24", "a reserved address"),
        ("192.0.2.0/24", "a documentation address"),
        ("192.88.99.0/24", "a 6to4 relay address"),
        ("192.168.0.0/16", "a private address"),
        ("198.18.0.0/15", "a private address"),
        ("198.51.100.0/24", "a documentation address"),
        ("203.0.113.0/24", "a documentation address"),
        ("224.0.0.0/4", "a multicast address"),
        ("240.0.0.0/4", "a reserved address"),
        ("::/128", "an address of this computer"),
        ("::1/128", "a loopback address"),
        ("::ffff:0:0/96", "an IPv4 address in IPv6 spelling"),
        ("::/96", "an IPv4 address in IPv6 spelling"),
        ("64:ff9b::/96", "a NAT64 address"),
        ("64:ff9b:1::/48", "a NAT64 address"),
        ("2001::/23", "a reserved address"),
        ("2001:db8::/32", "a documentation address"),
        ("2002::/16", "a 6to4 address"),
        ("3fff::/20", "a documentation address"),
        ("fc00::/7", "a private address"),
        ("fe80::/10", "a link-local address"),
        ("fec0::/10", "a private address"),
        ("ff00::/8", "a multicast address"),
    )
)
#: all global unicast addresses handed out so far lie in here (RFC 4291, IANA)
_PUBLIC_IPV6 = ipaddress.ip_network("2000::/3")

#: AWS, Azure, GCP, Oracle, Alibaba: these hand out credentials to whoever asks from the machine
_METADATA = frozenset(
    ipaddress.ip_address(text)
    for text in (
        *("169.254.169.254", "169.254.170.2", "169.254.170.23", "fd00:ec2::254", "fd00:ec2::23"),
        *("168.63.129.16", "fd20:ce::254", "192.0.0.192", "100.100.100.200"),
    )
)


def why_denied(address: Address) -> str:
    """`a private address`, … or nothing for an address of the public internet."""
    for network, words in _DENIED:
        if address in network:
            return words
    return "" if address.version == 4 or address in _PUBLIC_IPV6 else "a reserved address"


def is_metadata(address: Address) -> bool:
    """Whether this is a cloud's metadata service, in any wrapping. No allow-list lifts it."""
    return address in _METADATA or any(inner in _METADATA for inner in _wrapped(address))


def _wrapped(address: Address) -> list[ipaddress.IPv4Address]:
    """The IPv4 addresses that an IPv6 address may lead to: 6to4, Teredo, and its last 32 bits."""
    if isinstance(address, ipaddress.IPv4Address):
        return []
    teredo = address.teredo
    inner = [address.sixtofour, teredo[1] if teredo else None]
    last = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return [last, *(found for found in inner if found is not None)]
