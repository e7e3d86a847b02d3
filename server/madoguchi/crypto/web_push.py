"""Web Push as its RFCs have it: a message sealed to one browser, and the signature by which its service knows us.

Sources: RFC 8291 (message encryption), RFC 8188 (its coding, aes128gcm), RFC 8292 (VAPID).
"""

import base64
import os

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from py_vapid import Vapid02

_CURVE = ec.SECP256R1()
_RECORD_SIZE = 4096
_LAST_RECORD = b"\x02"
SECRET_LENGTH = 16


def new_key() -> bytes:
    """A private key of ours (P-256), as PEM."""
    return ec.generate_private_key(_CURVE).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def check_keys(p256dh: bytes, auth: bytes) -> None:
    """Whether these can be a browser's key and secret. Raises ValueError if not."""
    if len(auth) != SECRET_LENGTH:
        raise ValueError("the secret has 16 bytes")
    if len(p256dh) != 65:
        raise ValueError("the key is an uncompressed point")
    ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, p256dh)


def seal(
    message: bytes,
    p256dh: bytes,
    auth: bytes,
    *,
    own: ec.EllipticCurvePrivateKey | None = None,
    salt: bytes | None = None,
) -> bytes:
    """The body that only one browser can open. p256dh, auth: its public key (uncompressed point) and its secret.

    own, salt: fresh ones unless given, as the RFC's example does. Raises ValueError for keys that are none.
    """
    theirs = ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, p256dh)
    own = own or ec.generate_private_key(_CURVE)
    salt = salt or os.urandom(16)
    public = _point(own.public_key())
    secret = _derive(own.exchange(ec.ECDH(), theirs), auth, b"WebPush: info\0" + p256dh + public, 32)
    key = _derive(secret, salt, b"Content-Encoding: aes128gcm\0", 16)
    nonce = _derive(secret, salt, b"Content-Encoding: nonce\0", 12)
    header = salt + _RECORD_SIZE.to_bytes(4) + bytes([len(public)]) + public
    return header + AESGCM(key).encrypt(nonce, message + _LAST_RECORD, None)


class Signer:
    """Signs what goes to push services. key: PEM, as `new_key` makes it. Raises ValueError if it is none."""

    def __init__(self, key: bytes) -> None:
        private = serialization.load_pem_private_key(key, password=None)
        if not isinstance(private, ec.EllipticCurvePrivateKey) or not isinstance(private.curve, ec.SECP256R1):
            raise ValueError("a push key is an elliptic curve key (P-256)")
        # Not strict: its idea of an address has no port, and a desk's own may have one.
        self._vapid = Vapid02(private, conf={"no-strict": True})
        self.public_key = base64.urlsafe_b64encode(_point(private.public_key())).rstrip(b"=").decode()

    def authorization(self, service: str, contact: str, expires: int) -> str:
        """The header `Authorization`. service: origin; contact: mailto: or https:; expires: seconds since 1970."""
        signed: dict[str, str] = self._vapid.sign({"aud": service, "sub": contact, "exp": expires})
        return signed["Authorization"]


def _derive(secret: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    return HKDF(hashes.SHA256(), length, salt, info).derive(secret)


def _point(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
