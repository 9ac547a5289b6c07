"""Rules for checkov, about what this project promises. Each file is one rule.

https://www.checkov.io/3.Custom%20Policies/Python%20Custom%20Policies.html
"""
