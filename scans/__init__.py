"""What the scanners of ``make scan`` run: rules of our own, the checks of IAM documents, and the accepted findings."""
