"""Embedded AWS: MiniStack, plus the behaviour of AWS that it lacks and this project needs.

Each behaviour is one small module with the AWS page it follows, and a contract test in
``tests/python/contract`` that speaks only boto3 and HTTP and would pass on AWS.
"""
