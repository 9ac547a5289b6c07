"""Local AWS: MiniStack, plus the behaviour of AWS that it lacks.

Each behaviour is a small module that names the AWS page it follows, and has a contract test in
``tests/python/emulator/contract`` that uses boto3 and HTTP only and would pass on AWS.

A package is named as AWS names the service: in lowercase, with an underscore for each space. ``lambda_`` has one at its
end because ``lambda`` is a keyword of Python: https://peps.python.org/pep-0008/#descriptive-naming-styles
"""
