"""A lifecycle node whose transitions never fail in silence.

rclpy drops exceptions of transition callbacks; here they are logged and lead back to the state before.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from contextlib import suppress

from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from sam2amml_core.errors import Sam2AmmlError


class StartError(Sam2AmmlError):
    """A node could not be started by itself; the reason is in its log."""


class ManagedNode(LifecycleNode):
    """Subclasses fill in ``configure``, ``activate``, ``deactivate`` and ``clean_up``.

    The last two must do no harm when there is nothing to undo: they are called too when the way up fails half-way.
    """

    def configure(self) -> None:
        """Load what takes time or may be missing."""

    def activate(self) -> None:
        """Begin: publishers, subscriptions, threads."""

    def deactivate(self) -> None:
        """End what ``activate`` began."""

    def clean_up(self) -> None:
        """Give back the memory that ``configure`` took."""

    def start(self) -> None:
        """Configure and activate. Raises the Sam2AmmlError that was in the way."""
        for trigger, state in ((self.trigger_configure, 'inactive'), (self.trigger_activate, 'active')):
            self._failure: Exception | None = None
            trigger()
            if self.state != state:
                raise StartError(str(self._failure or f'the node is {self.state}, not {state}'))

    def start_if_wanted(self) -> ManagedNode:
        """This node, active already if its parameter autostart says so. Raises ``Sam2AmmlError`` when it cannot be."""
        if self.get_parameter('autostart').value:
            try:
                self.start()
            except Exception:
                with suppress(Exception):
                    self.close()
                    self.destroy_node()
                raise
        return self

    def close(self) -> None:
        """Undo everything, whatever the state; for the end of the process."""
        self.deactivate()
        self.clean_up()

    @property
    def state(self) -> str:
        """``unconfigured``, ``inactive``, ``active`` or ``finalized``."""
        return str(self._state_machine.current_state[1])

    # Transitions -----------------------------------------------------------------------------------------------------

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._go('configure', self.configure, self.clean_up)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._go('activate', self.activate, self.deactivate)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._go('deactivate', self.deactivate, None)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._go('clean up', self.clean_up, None)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._go('shut down', self.close, None)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """After a failed way down: begin again from nothing."""
        return self._go('recover', self.close, None)

    def _go(self, what: str, action: Callable[[], None], undo: Callable[[], None] | None) -> TransitionCallbackReturn:
        try:
            action()
        except Exception as error:  # rclpy would swallow it
            self._failure = error
            text = str(error) if isinstance(error, Sam2AmmlError) else traceback.format_exc().strip()
            self.get_logger().error(f'cannot {what}: {text}')
            if undo is None:
                return TransitionCallbackReturn.ERROR
            self._go(f'undo {what}', undo, None)
            self._failure = error
            return TransitionCallbackReturn.FAILURE
        return TransitionCallbackReturn.SUCCESS
