"""A throw-away key of the sandbox: opens nothing anywhere, and nothing but the stand-in believes it."""

import json

EMAIL = "footprintiq-hub@sandbox-only.iam.gserviceaccount.com"
KEY_ID = "5a4db0c5a4db0c5a4db0c5a4db0c5a4db0c5a4db"

SANDBOX_ONLY_PRIVATE_KEY = """\
-----BEGIN PRIVATE KEY-----
MIIEvgIBADANBgkqhkiG9w0BAQEFAASCBKgwggSkAgEAAoIBAQCcJxv9qTksWmuR
Td+4WHFxTx3sXeObahjBodqDjz8hHcnCUx0dv4erUUHADQJOFnzMaQU/o/DVQyjd
A+xvqmttM6qpEucw+QNA75xxI359SjDKxxobLTeduumFpaCdH5iN3rNqvqUfXPRZ
cLSM/KvyzhVeVTAwpbRlRKq8kdgKlxdAP5BHOvbzr11GFQY1l2w1wuOssVG+l3xh
bvdOM7ZzJzIYLx0wx4OvT4XkGyH+A09mj7Wq+yHHcU1Wyk5ztCVoTfI0gbAQegEV
HwbArJIqT2Clwhmi39rcJEKGHcFUQI9UIF5w82gNzvcE6aG6xhvIyOwUzqTbiMHG
UveC3z69AgMBAAECggEAPeXo3A/I+JJtIl+ep6nzagmFII2FLDWN06+veUf+q8dt
k0iz+XdTNa9To2fkuoSCetrEeFopnLfvClFEV21UASkiZLv4BfsndYWl21lJCiwv
FCqBaDVv3ufZKp+hf7cnF1GoiE9DECAeQhgBkgOUu35CjS6ymA4PaLckAPTFEUj9
Bg1nubgQHHj8sSkBsx/e5LEr9wOoKuwQ4AHj1kAAcWTfgvf6AUwjXN5c/6GVWI6J
8thzzp8XnCVr+4YJQ++JXIPoYQD9k1d4KeF0VP1f37REbjDcqqyn4UtyZYaYRfxD
B5xKMroIwlSkLBjHjFx0fUb2HYeQkkONyLb32SbKZwKBgQDa7YjAQ7/VUGR7nECC
vZFA2gP84vTNhkKGqGMiUgcYStFbZH+9JSV0ZCOoqKHSX2f4xErLv6a7Fu2WN6Ue
Zk6LdxStmmbE3mpqkcv1MTs1h+LjVCSaeTQITuvdFPscm1wJ/GqWByDncWRLKBTb
6pGI77kiao6sacylB2ZXM5xIewKBgQC2mEqGm5CEVA7aNkvcQn6tbfxB/iFps4r3
5mDZ/BeU9ur0dWGf/0Y7GI/16FUScVKN8nv0FU9dAVvgxr38VRG1b24WjHudANka
e7iBtnL0ZRbW62JBCngi2FEUU5ZYRE+cwztvCODXLW28al50odX+Vhp4i2TwGrNM
EYVGDsxcJwKBgQCPVBfFmBVNeHZwntl1PtqL1K/rrkKLE60WL8PHQmC2vLTX2rHu
iRU+YBkgYFahPij5qrk1L2He9qHRSNjnUB94GxwElCNYHC0bXBxliDe1UiNupTXZ
lCRGlDTC5uuHzQay2viFBGG8ZHY+5hzR5X4mYpuYNp71rcZ2/KM5z+YvZQKBgF3A
4DMxWQi46E9epaDYe5as7GMuCxXs3CPhJEWIzMrt5UHTq2atefAJ8pD+0/9+NDcy
FDcFYhSNCBHnudEAFPGl306wnx/EObUBZYEknu2hohKEFZTzvS+XBjp7mKyFlqMV
E0U1t8yERN4Dd7BHEEthBoJygEdQTlN2g4mvO3rtAoGBANgsvNOZ75cu9RQ9/32v
wqShEsU26YbrDcJ7fw4730aVw1X3zy/mkjACPeY4I0k7vc2PuVXgqZfWvCRlxdqh
UBPIHJ2WUnnOIo8lb3DR+rrgjrqzwOI63W164n65WvlpEpR5hvK4s8+JPPAdW0cm
WBAhY4M1xYwDWRXXbqQPkl6Y
-----END PRIVATE KEY-----
"""
PUBLIC_KEY = """\
-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAnCcb/ak5LFprkU3fuFhx
cU8d7F3jm2oYwaHag48/IR3JwlMdHb+Hq1FBwA0CThZ8zGkFP6Pw1UMo3QPsb6pr
bTOqqRLnMPkDQO+ccSN+fUowyscaGy03nbrphaWgnR+Yjd6zar6lH1z0WXC0jPyr
8s4VXlUwMKW0ZUSqvJHYCpcXQD+QRzr2869dRhUGNZdsNcLjrLFRvpd8YW73TjO2
cycyGC8dMMeDr0+F5Bsh/gNPZo+1qvshx3FNVspOc7QlaE3yNIGwEHoBFR8GwKyS
Kk9gpcIZot/a3CRChh3BVECPVCBecPNoDc73BOmhusYbyMjsFM6k24jBxlL3gt8+
vQIDAQAB
-----END PUBLIC KEY-----
"""


def service_account_json() -> str:
    """The file that Google would let people download; its `token_uri` leads nowhere, as nobody may follow it."""
    return json.dumps(
        {
            "type": "service_account",
            "project_id": "sandbox-only",
            "private_key_id": KEY_ID,
            "private_key": SANDBOX_ONLY_PRIVATE_KEY,
            "client_email": EMAIL,
            "client_id": "100000000000000000001",
            "token_uri": "https://token-uri-of-the-file.invalid/token",
        }
    )
