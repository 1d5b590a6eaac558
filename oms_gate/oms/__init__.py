"""The OpenSSF Model Signing (OMS) v1.0 format: who signed which bytes.

Pure: bytes in, facts out. Nothing here reads files, clocks or networks; the time is a parameter.
`verify.verify` is the way in for verifiers, `sign.sign_with_key` for publishers.
"""
