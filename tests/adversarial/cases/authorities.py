"""Authorities that programs believe: what `update-ca-trust` writes is made of anchors, and nobody else writes there."""

from corpus import UNEXPLAINED, Case

TITLE = "Authorities"
EXTRACTED = "/etc/pki/ca-trust/extracted"
BUNDLE = f"{EXTRACTED}/pem/tls-ca-bundle.pem"
BELIEF = "it decides whom programs believe"
# Self-signed; their keys were thrown away.
NOBODY = """\
-----BEGIN CERTIFICATE-----
MIIBqjCCAVGgAwIBAgIUWba0SesF1d5+AM0g0SH9TlphatcwCgYIKoZIzj0EAwIw
KjEPMA0GA1UECgwGTm9ib2R5MRcwFQYDVQQDDA5Ob2JvZHkgUm9vdCBDQTAgFw0y
NjExMjUyMzA2MTZaGA8yMTI2MTEwMTIzMDYxNlowKjEPMA0GA1UECgwGTm9ib2R5
MRcwFQYDVQQDDA5Ob2JvZHkgUm9vdCBDQTBZMBMGByqGSM49AgEGCCqGSM49AwEH
A0IABBxxN+mk85e1Ezz6tFbUJQxgRQxoG43x+uTp1Ky04ouUrouOq6FucygZv8A7
TZh3Xrtz++MFhKAH2w0ddQm4JF+jUzBRMB0GA1UdDgQWBBSd6CBNHqqE74fh1nK0
7n/yXsyrmDAfBgNVHSMEGDAWgBSd6CBNHqqE74fh1nK07n/yXsyrmDAPBgNVHRMB
Af8EBTADAQH/MAoGCCqGSM49BAMCA0cAMEQCIH3n/GKVq9vfQtELgW7Z853s1g0D
wDPVnSo9kUc7tuZxAiBDPpSJIvLPahgNIMils0JYTE9Vzsn1sppxrGCStwKZJA==
-----END CERTIFICATE-----
"""
SITE = """\
-----BEGIN CERTIFICATE-----
MIIBozCCAUmgAwIBAgIUHCqxsrKG+Dg8YoLM7iEq6dmymVcwCgYIKoZIzj0EAwIw
JjENMAsGA1UECgwEU2l0ZTEVMBMGA1UEAwwMU2l0ZSBSb290IENBMCAXDTI2MTEy
NTIzMDYxNloYDzIxMjYxMTAxMjMwNjE2WjAmMQ0wCwYDVQQKDARTaXRlMRUwEwYD
VQQDDAxTaXRlIFJvb3QgQ0EwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAARBOANo
G50H53vQww3lpQX0Q3dHu1TPG1wqsCt60a0wE5rH4U3rKrAkSNFBEOav1aR0zTnY
EMfTQ4e996uDI1A9o1MwUTAdBgNVHQ4EFgQUDFXV2XcKbqOtXFGXs2paPJLxBT0w
HwYDVR0jBBgwFoAUDFXV2XcKbqOtXFGXs2paPJLxBT0wDwYDVR0TAQH/BAUwAwEB
/zAKBggqhkjOPQQDAgNIADBFAiEAwuOeO2eSbgIeWSevZBI08yadsMqOlpmc/cma
FR9pVToCIE/YWgRZSPWoD2Exov0dPGrE1bIVMFKkCG4vS3ze1QqC
-----END CERTIFICATE-----
"""
_WRITE = f"mkdir -p {EXTRACTED}/pem {EXTRACTED}/java && printf '%s\\n' '" + "' '".join(NOBODY.splitlines()) + "'"

CASES = [
    Case(
        "authority_in_the_bundle_that_is_extracted",
        (f"RUN {_WRITE} > {BUNDLE}",),
        (UNEXPLAINED, f"{BUNDLE} (RUN", BELIEF, "has the certificate of O=Nobody, CN=Nobody Root CA"),
    ),
    Case(
        "authority_added_to_what_was_extracted",
        (
            "COPY site.pem /etc/pki/ca-trust/source/anchors/",
            f"RUN {_WRITE} > /tmp/x && cat /etc/pki/ca-trust/source/anchors/site.pem /tmp/x > {BUNDLE}",
        ),
        (UNEXPLAINED, f"{BUNDLE} (RUN", "has the certificate of O=Nobody, CN=Nobody Root CA"),
        files={"site.pem": SITE},
    ),
    Case(
        "bundle_is_a_link_to_data",
        (f"RUN {_WRITE} > /srv/data && ln -s /srv/data {BUNDLE}",),
        (UNEXPLAINED, f"{BUNDLE} (RUN", BELIEF, "it leads to /srv/data, unexplained"),
    ),
    Case(
        "something_else_where_authorities_are_extracted",
        (f"RUN mkdir -p {EXTRACTED}/java && echo text > {EXTRACTED}/java/cacerts",),
        (UNEXPLAINED, f"{EXTRACTED}/java/cacerts (RUN", BELIEF),
    ),
]
