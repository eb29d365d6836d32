"""Makes secrets.json: what other programs seal. Needs Python 3 and `pip install cryptography`.

    python3 tests/data/secrets.py > tests/data/secrets.json
"""

import base64, hashlib, hmac, json, struct

from cryptography.fernet import Fernet
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC


# viraldb's own form, written down a second time.

def hchacha20(key, nonce):
    s = list(struct.unpack("<16I", b"expand 32-byte k" + key + nonce))

    def quarter(a, b, c, d):
        for x, y, z, turn in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            s[x] = (s[x] + s[y]) & 0xFFFFFFFF
            s[z] ^= s[x]
            s[z] = (s[z] << turn | s[z] >> (32 - turn)) & 0xFFFFFFFF

    for _ in range(10):
        for column in ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15)):
            quarter(*column)
        for diagonal in ((0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)):
            quarter(*diagonal)
    return struct.pack("<8I", *s[:4], *s[12:])


key, nonce, secret = bytes(range(32)), bytes(range(64, 88)), b"ghp_0123"
key_id = hashlib.sha256(b"viraldb key id 1\0" + key).digest()[:8].hex()
row = "0190b5a0-0000-7000-8000-000000000002"
parts = ["1", key_id, "channels", "github_secret_key_encrypted", row]
associated = b"".join(struct.pack("<Q", len(part)) + part.encode() for part in parts)
sealed = ChaCha20Poly1305(hchacha20(key, nonce[:16])).encrypt(bytes(4) + nonce[16:], secret, associated)
text = base64.urlsafe_b64encode(nonce + sealed).decode().rstrip("=")
derived = hmac.digest(key, b"viraldb fingerprint 1", "sha256")
fingerprint = hmac.digest(derived, associated + secret, "sha256")[:8].hex()

# What the Python applications do.

application_key = "an application's key, of more than 32 bytes"
salt = b"viral \x00 salt"
kdf = PBKDF2HMAC(algorithm=hashes.SHA256(), length=32, salt=salt, iterations=100_000)
fernet_key = base64.urlsafe_b64encode(kdf.derive(application_key.encode()[:32]))
fernet = Fernet(fernet_key)
secrets = ['{"client_id": "x", "refresh_token": "1//0planted"}', "", "exactly 16 bytes", "ünïcode ✓ " * 40]

print(json.dumps({
    "envelope": {
        "key": base64.b64encode(key).decode(),
        "key_id": key_id,
        "channel": row,
        "secret": secret.decode(),
        "sealed": f"viraldb:1:{key_id}:{text}",
        "fingerprint": f"{key_id}:{fingerprint}",
    },
    "fernet": {
        "application_key": application_key,
        "salt": "hex:" + salt.hex(),
        "tokens": [{"secret": s, "token": fernet.encrypt(s.encode()).decode()} for s in secrets],
        "not_text": fernet.encrypt(b"\xff\xfe").decode(),
        "of_another_key": Fernet(Fernet.generate_key()).encrypt(b"x").decode(),
    },
}, indent=1))
