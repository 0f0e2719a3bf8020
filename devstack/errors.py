"""What can go wrong in a way the person at the terminal can do something about."""


class StackError(Exception):
    """The stack cannot do what was asked; the message says why and what to do."""


class AlreadyRunning(StackError):
    """Another supervisor holds this state folder."""


class PortsBusy(StackError):
    """Ports the stack needs are taken; the message names each port and its holder."""
