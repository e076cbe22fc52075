"""The self-tests: every public function is one, its name says what holds, its argument makes worlds."""
