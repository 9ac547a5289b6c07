"""What the commands of scripts/ share."""

from pathtolive import interrupts

interrupts.hide_traceback()
